import type { Json } from "../api/types";

type Row = Record<string, Json>;

/** A value as it is read; what is no text, as JSON. */
export const shown = (value: Json) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));
export const missingIn = (row: Row, key: string) => row[key] === undefined;
const isText = (value: Json | undefined) => value == null || typeof value === "string";

/** What is written in the box of each column, those that the row lacks included; what is no text, as JSON. */
export function textsOfRow(row: Row, columns: readonly string[]): Record<string, string> {
  const keys = [...new Set([...Object.keys(row), ...columns])];
  return Object.fromEntries(keys.map((key) => [key, isText(row[key]) ? ((row[key] ?? "") as string) : JSON.stringify(row[key], null, 2)]));
}

/** The row that the texts make. A column that was not there, or null, stays so while nothing is written in its box. */
export function rowOf(before: Row, texts: Record<string, string>): { row: Row } | { wrong: string; why: string } {
  const row: Row = {};
  for (const [key, text] of Object.entries(texts)) {
    if (text === "" && missingIn(before, key)) continue;
    try {
      row[key] = text === "" && before[key] === null ? null : isText(before[key]) ? text : (JSON.parse(text) as Json);
    } catch (reason) {
      return { wrong: key, why: (reason as Error).message };
    }
  }
  return { row };
}
