import { createContext, useContext } from "react";

type LabelOf = (name: string) => string | undefined;
export interface Piece { kind: "text" | "code" | "field"; text: string }

/** What the server says for whoever reads it on a page: `code` as code, and a flag of the command line or the help of a
 * setting as the field that stands here, by its label. */
export function piecesOf(text: string, labelOf: LabelOf): Piece[] {
  return text.split("`").flatMap((part, n): Piece[] => {
    if (n % 2 === 0) return withFields(part, labelOf);
    const setting = /^tunesmith help (\w+)$/.exec(part)?.[1];
    const label = setting && labelOf(setting);
    return [label ? { kind: "field", text: label } : { kind: "code", text: part }];
  }).filter((piece) => piece.text);
}

function withFields(text: string, labelOf: LabelOf): Piece[] {
  return text.split(/((?<![\w-])--[a-z][a-z0-9_-]*)/).map((part, n) => {
    const label = n % 2 ? labelOf(part.slice(2).replaceAll("-", "_")) : undefined;
    return label ? { kind: "field", text: label } : { kind: "text", text: part };
  });
}

const Labels = createContext<LabelOf>(() => undefined);
/** Which fields stand on this page, by their names. */
export const FieldLabels = Labels.Provider;

export function Said({ text }: { text: string }) {
  const labelOf = useContext(Labels);
  return piecesOf(text, labelOf).map(({ kind, text: words }, n) => (kind === "code" ? <code key={n}>{words}</code> : kind === "field" ? <strong key={n}>{words}</strong> : words));
}
