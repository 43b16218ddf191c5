import { Fragment } from "react";
import type { Piece, PieceKind } from "../api/types";
import { t } from "../i18n";

/** A control token that is learned has a look of its own: whether the end of an answer is, decides whether it ever ends. */
type Look = PieceKind | "learned";
const LOOKS: Look[] = ["trained", "masked", "special", "learned", "truncated"];
export const lookOf = (piece: Pick<Piece, "kind" | "trained">): Look => (piece.kind === "special" && piece.trained ? "learned" : piece.kind);
const classOf = (look: Look) => `piece ${look === "learned" ? "special learned" : look}`;

export const MaskLegend = () => (
  <ul className="row small mask-legend">{LOOKS.map((look) => <li key={look}><span className={classOf(look)}>{t(`mask.${look}`)}</span></li>)}</ul>
);

/** Tokens in the colour of what training does with them; line ends are shown and kept. */
export function Pieces({ pieces }: { pieces: Piece[] }) {
  return (
    <p className="pieces">
      {pieces.map((piece, n) => (
        <Fragment key={n}>
          <span className={classOf(lookOf(piece))} title={`${t(`mask.${lookOf(piece)}`)}${piece.ids?.length ? ` · ${piece.ids.slice(0, 12).join(" ")}` : ""}`}>{piece.text.replaceAll("\n", "↵\n")}</span>
        </Fragment>
      ))}
    </p>
  );
}
