import { expect, test } from "vitest";
import { heard, messagesOf, opened, toolsIn, turnsOf, type Turn } from "./turns";

test("pieces of both sides go to their side", () => {
  let turns: Turn[] = [{ role: "user", text: "hi" }, opened(true)];
  for (const delta of [{ type: "delta", text: "He", side: "tuned" }, { type: "delta", text: "Hm", side: "base" }, { type: "thinking", text: "…", side: "tuned" }, { type: "delta", text: "y", side: "tuned" }, { type: "done", tokens: 2, seconds: 1, side: "base" }] as const) turns = heard(turns, delta);
  expect(turns[1]).toEqual({ role: "assistant", answer: { text: "Hey", thinking: "…" }, base: { text: "Hm", thinking: "", tokens: 2, seconds: 1 } });
});

test("an error is kept with the answer that it ended", () => {
  const turns = heard([opened(false)], { type: "error", message: "no memory", hint: "unload" });
  expect(turns[0]).toMatchObject({ failed: { message: "no memory", hint: "unload" } });
});

test("a saved conversation opens as it was", () => {
  const turns: Turn[] = [{ role: "user", text: "q" }, { role: "assistant", answer: { text: "a", thinking: "t" } }];
  expect(turnsOf(messagesOf(turns, "be brief"))).toEqual({ system: "be brief", turns });
});

test("tools are named, or it is said why not", () => {
  expect(toolsIn('[{"name": "weather"}, {"type": "function", "function": {"name": "time"}}]').names).toEqual(["weather", "time"]);
  expect(toolsIn("{").problem).toBeTruthy();
  expect(toolsIn('[{"title": "x"}]').problem).toBe("name");
  expect(toolsIn(" ")).toEqual({ names: [], problem: null });
});
