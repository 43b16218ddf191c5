// A conversation as it is shown and as it is sent.
import type { ChatDelta, ChatMessage, Json } from "../api/types";

export interface Answer { text: string; thinking: string; tokens?: number; seconds?: number }
/** answer: what the loaded model said; base: the same asked of the model without its adapter. */
export type Turn = { role: "user" | "tool"; text: string } | { role: "assistant"; answer: Answer; base?: Answer; failed?: { message: string; hint: string } };

const EMPTY: Answer = { text: "", thinking: "" };

export const opened = (compare: boolean): Turn => ({ role: "assistant", answer: EMPTY, ...(compare ? { base: EMPTY } : {}) });

/** The turns with one more piece of the last answer. */
export function heard(turns: Turn[], delta: ChatDelta): Turn[] {
  const last = turns.at(-1);
  if (last?.role !== "assistant") return turns;
  if (delta.type === "error") return [...turns.slice(0, -1), { ...last, failed: { message: delta.message, hint: delta.hint } }];
  const side = delta.side === "base" ? "base" : "answer";
  const before = last[side] ?? EMPTY;
  const after: Answer =
    delta.type === "delta" ? { ...before, text: before.text + delta.text }
    : delta.type === "thinking" ? { ...before, thinking: before.thinking + delta.text }
    : { ...before, tokens: delta.tokens, seconds: delta.seconds };
  return [...turns.slice(0, -1), { ...last, [side]: after }];
}

/** What the model is asked with: the system prompt and the turns before `end`. */
export function messagesOf(turns: Turn[], system: string, end = turns.length): ChatMessage[] {
  const spoken = turns.slice(0, end).map((turn): ChatMessage => (
    turn.role === "assistant"
      ? { role: "assistant", content: turn.answer.text, ...(turn.answer.thinking ? { thinking: turn.answer.thinking } : {}) }
      : { role: turn.role, content: turn.text }
  ));
  return system.trim() ? [{ role: "system", content: system }, ...spoken] : spoken;
}

export function turnsOf(messages: ChatMessage[]): { system: string; turns: Turn[] } {
  const system = messages.find((message) => message.role === "system")?.content ?? "";
  const turns = messages.filter((message) => message.role !== "system").map((message): Turn => (
    message.role === "assistant"
      ? { role: "assistant", answer: { text: message.content, thinking: message.thinking ?? "" } }
      : { role: message.role === "tool" ? "tool" : "user", text: message.content }
  ));
  return { system, turns };
}

export const titleOf = (turns: Turn[]): string => {
  const first = turns.find((turn) => turn.role === "user");
  return first && first.role === "user" ? first.text.trim().split("\n")[0]!.slice(0, 60) : "";
};

/** Names of the tools in a text, or why it is no list of tools. */
export function toolsIn(text: string): { names: string[]; problem: string | null } {
  if (!text.trim()) return { names: [], problem: null };
  let tools: Json;
  try {
    tools = JSON.parse(text) as Json;
  } catch (reason) {
    return { names: [], problem: (reason as Error).message };
  }
  if (!Array.isArray(tools)) return { names: [], problem: "[…]" };
  const names = tools.map((tool) => {
    const shape = tool as { name?: Json; function?: { name?: Json } } | null;
    return shape?.name ?? shape?.function?.name;
  });
  return names.every((name) => typeof name === "string") ? { names: names as string[], problem: null } : { names: [], problem: "name" };
}
