import type { Look } from "../api/types";

export const ROLES: Record<string, string[]> = {
  alpaca: ["prompt", "query", "response", "system", "history", "tools"],
  sharegpt: ["messages", "system", "tools"],
  openai: ["messages", "tools"],
  text: ["prompt"],
};
/** What no format can do without: it is changed for another column, and not cleared. */
const NEEDED = new Set(["prompt", "response", "messages"]);
export type Columns = Record<string, string | null>;
type Read = Pick<Look, "columns" | "found">;

/** The column that a role has, if the data have it. */
export const columnOf = (role: string, columns: Columns, found: string[]): string => (columns[role] && found.includes(columns[role]) ? columns[role] : "");

export const rolesOf = (format: string, columns: Columns, found: string[]): string[] =>
  [...new Set([...(ROLES[format] ?? []), ...Object.keys(columns).filter((role) => columnOf(role, columns, found))])];

/** Whether None can be chosen for a role. */
export const isClearable = (role: string, column: string): boolean => !NEEDED.has(role) || !column;

/** What the entry is to say of the columns. A role that was cleared is null: left out, it would get its usual column
 * again. One whose usual column the data don't have is left out. */
export function toSave(format: string, columns: Columns, look: Read): Columns {
  const kept: Columns = {};
  for (const role of new Set([...rolesOf(format, columns, look.found), ...Object.keys(look.columns)])) {
    const column = columnOf(role, columns, look.found);
    if (column) kept[role] = column;
    else if (!NEEDED.has(role) && (!look.columns[role] || look.found.includes(look.columns[role]))) kept[role] = null;
  }
  return kept;
}
