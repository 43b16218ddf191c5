// Which column of a table becomes which part of a row, and lists in a box: what a click changes in the texts of the form.
import type { TableHead, Tables } from "../api/types";
import { BETWEEN, type Texts } from "../form/schema";

/** Parts of a row that columns may become, in the order in which they are read. */
export const PARTS = ["instruction", "input", "output", "system"] as const;
export type Part = (typeof PARTS)[number];

/** The part that a column is used for: by what stands in the form, else as the server takes it. */
export function partOf(column: string, head: TableHead, texts: Texts): Part | "text" | "" {
  const written = PARTS.find((part) => names(texts[part], column));
  if (written) return written;
  const found = Object.keys(head.parts).find((part) => head.parts[part]!.includes(column)) as Part | "text" | undefined;
  return found && !(found !== "text" && texts[found]?.trim()) ? found : "";
}

/** The form after a column was given a part; what was guessed so far is written down with it, so that it stays. */
export function withPart(column: string, part: Part | "", head: TableHead, texts: Texts): Texts {
  const told = texts["instruction"]?.trim() || texts["output"]?.trim();
  const next: Texts = { ...texts };
  for (const one of PARTS) {
    const guess = head.parts[one] ?? [];
    if (!told && !next[one]?.trim() && guess.length === 1) next[one] = guess[0]!;
    if (next[one] === column) next[one] = "";
  }
  if (part) next[part] = column;
  return next;
}

/** Why a column can't be given up here: it stands within a text of the form, or rows need it and nothing else was named. */
export function heldBy(column: string, head: TableHead, texts: Texts): "written" | "needed" | null {
  const part = partOf(column, head, texts);
  const text = part && part !== "text" ? texts[part]?.trim() : "";
  if (text) return text === column ? null : "written";
  return part && part !== "input" && part !== "system" ? "needed" : null;
}

/** What is wrong with the settings, and not with a table: what every table has. */
export function commonProblem({ tables, more }: Tables): TableHead["problem"] {
  const first = tables[0]?.problem;
  return first && more === 0 && tables.every((head) => head.problem?.field === first.field) ? first : null;
}

const names = (text: string | undefined, column: string) => text?.trim() === column || Boolean(text?.includes(`{${column}}`));

export const listed = (text: string | undefined): string[] => (text ?? "").split(BETWEEN).map((word) => word.trim()).filter(Boolean);

/** A list in a box with a word more, or without it where it stood there. */
export function toggled(text: string | undefined, word: string): string {
  const words = listed(text);
  return (words.includes(word) ? words.filter((one) => one !== word) : [...words, word]).join(", ");
}
