// What the server answers, by its own description (schema.d.ts), under the names that the page uses.
import type { components } from "./schema";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Settings = Record<string, Json>;

/** An answer has every key: the server leaves none out. */
type Whole<T> = T extends (infer U)[] ? Whole<U>[] : T extends object ? { [K in keyof T]-?: Whole<T[K]> } : T;
type Answer<K extends keyof components["schemas"]> = Whole<components["schemas"][K]>;

export type About = Answer<"About">;
export type DoctorFinding = Answer<"Finding">;
export type Problem = Answer<"Problem">;
export type Command = Answer<"Command">;
export interface Check extends Omit<Answer<"Checked">, "resolved"> { resolved: Settings | null }
export interface Imported extends Omit<Answer<"Imported">, "settings"> { settings: Settings }
export type Warned = Answer<"Warned">;
export type Estimate = Answer<"Estimate">;

export type Run = Answer<"Summary">;
export type Status = Run["status"];
export const isActive = (status: Status) => ["queued", "starting", "running", "stopping"].includes(status);
export type Deletion = Answer<"Deletion">;
export type FileInfo = Answer<"FileInfo">;
export interface Remedy extends Omit<Answer<"Remedy">, "settings"> { settings: Settings }
export interface RunDetail extends Omit<Answer<"Detail">, "asked" | "config" | "environment" | "remedies"> { remedies: Remedy[]; asked: Settings; config: Settings; environment: Settings }
export type Series = Record<string, [number, number | null][]>;
/** What a curve shows. */
export type Word = Answer<"Word">;
export interface Metrics extends Omit<Answer<"Curves">, "series"> { series: Series }
export type Log = Answer<"Log">;
export interface Comparison extends Omit<Answer<"Comparison">, "series" | "config"> { series: Record<string, Series[string][]>; config: { key: string; values: Json[] }[] }

export type Dataset = Answer<"Listed">;
export type Look = Answer<"Look">;
export type Cutoff = Answer<"Cutoff">;
export interface ShownRow extends Omit<Answer<"ShownRow">, "row"> { row: Record<string, Json> | null }
export interface Rows extends Omit<Answer<"Rows">, "rows"> { rows: ShownRow[] }
export interface RemovedRow extends Omit<Answer<"RemovedRow">, "row"> { row: Record<string, Json> }
export type Piece = Answer<"Piece">;
export type PieceKind = Piece["kind"];
export type Mask = Answer<"Mask">;
export type Option = Answer<"Option">;
export type TableHead = Answer<"Table">;
export type Tables = Answer<"Tables">;
export type Speaker = Answer<"Speaker">;
export type Style = Answer<"Style">;
export type CommandLine = Answer<"CommandLine">;
export type MadeRow = Answer<"MadeRow">;
export type Made = Answer<"Made">;

export type ChatSession = Answer<"Session">;
export type ConversationHead = Answer<"Conversation">;
export interface Conversation extends Omit<ConversationHead, "content"> { content: { system?: string; turns?: Json[] } }
export type ModelChoice = Answer<"ModelChoice">;
export type Exported = Answer<"Exported">;
export type Evaluation = Answer<"Evaluation">;
export type Prediction = Omit<Answer<"Prediction">, "thinking" | "base" | "error"> & { thinking: string | null; base: string | null; error: string | null };
export interface Predictions { rows: Prediction[]; total: number }

export interface ChatMessage { role: string; content: string; reasoning_content?: string; tool_calls?: Json[] }
/** One event of an answer's stream. */
export type ChatPart =
  | { kind: "text" | "thinking" | "call"; text: string }
  | { kind: "done"; finish: string; content: string; thinking: string; tool_calls: Json[]; prompt_tokens: number; tokens: number; seconds: number; seed: number }
  | { kind: "error"; message: string; hint: string };

export interface Property {
  description?: string; type?: string; enum?: Json[]; anyOf?: Property[]; items?: Property; default?: Json;
  minimum?: number; maximum?: number; exclusiveMinimum?: number; exclusiveMaximum?: number;
  deprecated?: boolean; "x-section"?: string; "x-common"?: boolean; "x-order"?: number; "x-secret"?: boolean; "x-automatic"?: boolean; "x-choices"?: string[]; "x-suggestions"?: string[];
}
export interface Schema { properties: Record<string, Property> }
