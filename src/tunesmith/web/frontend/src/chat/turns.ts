// A conversation as it is shown and as it is sent.
import type { ChatMessage, ChatPart, Json } from "../api/types";

export interface Answer { text: string; thinking: string; calls?: Json[]; tokens?: number; seconds?: number; seed?: number; finish?: Finish; failed?: { message: string; hint: string } }
/** length: it reached the limit of new tokens; stopped: by the person, before its end. */
export type Finish = "stop" | "length" | "stopped";
/** answer: what the loaded model said; base: the same asked of the model without its adapter; model: whose answer it is; again: how often the question was asked before. */
export type Turn = { role: "user" | "tool"; text: string } | { role: "assistant"; answer: Answer; base?: Answer; model?: string; again?: number };
export type Side = "answer" | "base";

const EMPTY: Answer = { text: "", thinking: "" };

export const opened = (compare: boolean, model?: string, again = 0): Turn => ({ role: "assistant", answer: EMPTY, ...(compare ? { base: EMPTY } : {}), ...(model ? { model } : {}), ...(again ? { again } : {}) });

const MOST_SEEDS = 2 ** 31;
/** Another answer takes the next seed, so that it is another and can be had again; without a seed, chance decides. */
export const seedFor = (seed: number | null, again: number): number => (seed === null ? Math.floor(Math.random() * MOST_SEEDS) : (seed + again) % MOST_SEEDS);

/** The turns when no more comes: answers without an end were stopped, and after a failure no other side is asked. */
export function ended(turns: Turn[]): Turn[] {
  const last = turns.at(-1);
  if (last?.role !== "assistant") return turns;
  const whole = (answer: Answer): Answer => (answer.seconds === undefined && !answer.failed ? { ...answer, finish: "stopped" } : answer);
  const { base, ...rest } = last;
  return [...turns.slice(0, -1), { ...rest, answer: whole(last.answer), ...(base && !last.answer.failed ? { base: whole(base) } : {}) }];
}

/** The turns with one more piece of the last answer, on the side that gave it. */
export function heard(turns: Turn[], part: ChatPart, side: Side): Turn[] {
  const last = turns.at(-1);
  if (last?.role !== "assistant") return turns;
  return [...turns.slice(0, -1), { ...last, [side]: after(last[side] ?? EMPTY, part) }];
}

function after(before: Answer, part: ChatPart): Answer {
  switch (part.kind) {
    case "text": case "call": return { ...before, text: before.text + part.text };
    case "thinking": return { ...before, thinking: before.thinking + part.text };
    case "error": return { ...before, failed: { message: part.message, hint: part.hint } };
    case "done": {
      const { content, thinking, tool_calls: calls, tokens, seconds, seed, finish } = part;
      return { ...before, text: calls.length ? before.text : content, thinking, tokens, seconds, seed, ...(finish ? { finish: finish as Finish } : {}), ...(calls.length ? { calls } : {}) };
    }
  }
}

/** What the model is asked with: the turns before `end`. */
export function messagesOf(turns: Turn[], end = turns.length): ChatMessage[] {
  return turns.slice(0, end).map((turn): ChatMessage => {
    if (turn.role !== "assistant") return { role: turn.role, content: turn.text };
    const { text, thinking, calls } = turn.answer;
    return { role: "assistant", content: calls ? "" : text, ...(thinking ? { reasoning_content: thinking } : {}), ...(calls ? { tool_calls: calls } : {}) };
  });
}

/** Cut between characters, never within one. */
export const titleOf = (turns: Turn[]): string => {
  const first = turns.find((turn) => turn.role === "user");
  const line = first && first.role === "user" ? first.text.trim().split("\n")[0]! : "";
  return [...line].slice(0, 60).join("");
};

export interface Tools { tools: Json[]; names: string[]; problem: string | null }
/** The tools in a text, or why it is no list of tools. */
export function toolsIn(text: string): Tools {
  const none = { tools: [], names: [] };
  if (!text.trim()) return { ...none, problem: null };
  let tools: Json;
  try {
    tools = JSON.parse(text) as Json;
  } catch (reason) {
    return { ...none, problem: (reason as Error).message };
  }
  if (!Array.isArray(tools)) return { ...none, problem: "[…]" };
  const names = tools.map((tool) => {
    const shape = tool as { name?: Json; function?: { name?: Json } } | null;
    return shape?.name ?? shape?.function?.name;
  });
  return names.every((name) => typeof name === "string") ? { tools, names: names as string[], problem: null } : { ...none, problem: "name" };
}
