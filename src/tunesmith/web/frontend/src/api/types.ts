// What the server answers. The names are those of its OpenAPI document.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Settings = Record<string, Json>;

export interface Device { id: string; name: string; memory: number }
export interface About {
  version: string; workspace: string; language: string; devices: Device[]; memory_total: number; memory_free: number;
  disk_free: number; exposed: boolean; cpus: number; python: string;
}

export interface Property {
  description?: string; type?: string; enum?: Json[]; anyOf?: Property[]; items?: Property; default?: Json;
  minimum?: number; maximum?: number; exclusiveMinimum?: number; exclusiveMaximum?: number;
  deprecated?: boolean; "x-section"?: string; "x-common"?: boolean; "x-order"?: number; "x-secret"?: boolean; "x-choices"?: string[]; "x-suggestions"?: string[];
}
export interface Schema { properties: Record<string, Property> }

export interface Problem { field: string | null; message: string; hint: string; level: "error" | "note" }
export interface Check { ok: boolean; problems: Problem[]; resolved: Settings | null; notes: string[] }
export interface Command { yaml: string; cli: string; windows: string }
export interface Imported { settings: Settings; notes: string[] }

export interface Estimate {
  parts: Record<string, number>; total: number; available: number; memory: number; fits: boolean; trainable: number; parameters: number;
  checkpointing: boolean; note: string;
}

export type Status = "queued" | "starting" | "running" | "stopping" | "finished" | "stopped" | "failed" | "killed";
export const isActive = (status: Status) => ["queued", "starting", "running", "stopping"].includes(status);
export interface Run {
  id: string; name: string; kind: string; status: Status; progress: number | null; step: number; steps: number | null; epoch: number;
  eta: number | null; last_loss: number | null; tags: string[]; created: number; started: number | null; ended: number | null;
  queue_position: number | null; devices: string[]; model: string; resumable: boolean; message: string; hint: string;
}
export interface CheckpointInfo { step: number; path: string; eval_loss: number | null; best: boolean }
export interface FileInfo { path: string; bytes: number }
export interface RunDetail {
  summary: Run; asked: Settings; config: Settings; environment: Record<string, Json>; last: Record<string, number | null>;
  checkpoints: CheckpointInfo[]; warnings: string[]; refused_rows: number; files: FileInfo[]; attempt: number;
}
/** What a curve shows. */
export interface Word { sign: string; level: "info" | "warning" | "error"; message: string; fix: string; step: number | null; values: Record<string, number> }
export type Series = Record<string, [number, number | null][]>;
export interface Metrics { series: Series; total: Record<string, number>; words: Word[]; offset: number }
export interface Log { lines: string[]; attempt: number; offset: number; complete: boolean }
export interface Comparison {
  runs: Run[]; config: { key: string; values: Json[] }[]; metrics: Record<string, (number | null)[]>;
  series: Record<string, [number, number | null][][]>;
}

export interface Dataset { name: string; place: string; location: string; bytes: number | null; missing: boolean; formatting: string | null; ranking: boolean; problem: string }
export interface Told { message: string; hint: string; field: string | null }
export interface Cutoff { cutoff: number; truncated_rows: number; truncated_tokens: number; packed_rows: number; fill: number }
export interface Lengths { histogram: { from: number; to: number; count: number }[]; cutoffs: Cutoff[]; total: number; longest: number; median: number }
export interface Look {
  name: string; files: { path: string; bytes: number; encoding: string }[]; revision: string; found: string[]; format: string | null; problem: Told | null;
  columns: Record<string, string>; tags: Record<string, string>; rows: number; usable: number; reasons: Record<string, number>;
  refusals: { file: string; line: number; reason: string }[]; duplicates: number; near_duplicates: number; contradictions: number;
  placeholders: Record<string, number>; notes: string[]; lengths: Lengths | null;
}
export interface ShownRow { number: number; file: string; line: number; row: Record<string, Json> | null; text: string | null; problem: string | null }
export interface Rows { rows: ShownRow[]; editable: boolean; revision: string; problem: Told | null }
export type PieceKind = "trained" | "masked" | "truncated" | "special";
export interface Piece { text: string; ids: number[]; kind: PieceKind; trained: boolean }
export interface Mask { samples: { number: number; line: number; problem: string | null; tokens: number; trained: number; pieces: Piece[] }[]; notes: string[]; template: string | null }

export interface ChatMessage { role: string; content: string; reasoning_content?: string; tool_calls?: Json[] }
export interface ConversationHead { id: string; title: string; updated: number; revision: string }
export interface Conversation extends ConversationHead { content: { system?: string; turns?: Json[] } }
export interface ChatSession {
  session: string; status: "loading" | "ready" | "failed"; model: string; adapter: string | null; name: string; tuned: boolean;
  room: number | null; template: string; system: string | null; notes: string[]; message: string; hint: string;
}
export type ChatPart =
  | { kind: "text" | "thinking" | "call"; text: string }
  | { kind: "done"; finish: string; content: string; thinking: string; tool_calls: Json[]; prompt_tokens: number; tokens: number; seconds: number; seed: number }
  | { kind: "error"; message: string; hint: string };

export interface ModelChoice { path: string; name: string; kind: "run" | "checkpoint" | "model" | "gguf"; base: string | null }

export interface ExportedFile {
  file: string; kind: string; size: number; cases: number; prompts: number; ids: number; agreement: number | null; divergence: number | null;
  loss: number | null; reference_loss: number | null; status: "pass" | "warn" | "fail"; detail: string; fix: string;
}
export interface Exported { folder: string; files: FileInfo[]; verified: ExportedFile[]; modelfile: string | null }

export interface AuthoringRow { n: number; row: Json; source: string; accepted: boolean | null; reason: string }
export interface Prediction { n: number; prompt: string; expected: string; predicted: string; score: number | null }
export interface DoctorFinding { status: "pass" | "warn" | "fail"; what: string; detail: string; fix: string }
