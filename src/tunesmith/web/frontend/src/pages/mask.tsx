import { Fragment } from "react";
import type { Piece, PieceKind } from "../api/types";
import { t } from "../i18n";

const KINDS: PieceKind[] = ["trained", "masked", "special", "truncated"];

export const MaskLegend = () => (
  <ul className="row small mask-legend">{KINDS.map((kind) => <li key={kind}><span className={`piece ${kind}`}>{t(`mask.${kind}`)}</span></li>)}</ul>
);

/** Tokens in the colour of what training does with them; line ends are shown and kept. */
export function Pieces({ pieces }: { pieces: Piece[] }) {
  return (
    <p className="pieces">
      {pieces.map((piece, n) => (
        <Fragment key={n}>
          <span className={`piece ${piece.kind}`} title={`${t(`mask.${piece.kind}`)}${piece.ids?.length ? ` · ${piece.ids.slice(0, 12).join(" ")}` : ""}`}>{piece.text.replaceAll("\n", "↵\n")}</span>
        </Fragment>
      ))}
    </p>
  );
}
