import { expect, test } from "vitest";
import type { ChatPart } from "../api/types";
import { ended, heard, messagesOf, opened, seedFor, titleOf, toolsIn, type Turn } from "./turns";

const done = { kind: "done", finish: "stop", content: "Hey", thinking: "…", tool_calls: [], prompt_tokens: 5, tokens: 2, seconds: 1, seed: 7 } as const satisfies ChatPart;

test("pieces go to the side that said them, and the end has the last word", () => {
  let turns: Turn[] = [{ role: "user", text: "hi" }, opened(true)];
  turns = heard(turns, { kind: "text", text: "Hm" }, "base");
  turns = heard(turns, { kind: "thinking", text: "." }, "answer");
  turns = heard(turns, { kind: "text", text: "He" }, "answer");
  turns = heard(turns, done, "answer");
  expect(turns[1]).toEqual({ role: "assistant", answer: { text: "Hey", thinking: "…", tokens: 2, seconds: 1, seed: 7, finish: "stop" }, base: { text: "Hm", thinking: "" } });
});

test("an error is kept with the answer that it ended", () => {
  expect(heard([opened(false)], { kind: "error", message: "no memory", hint: "unload" }, "answer")[0]).toMatchObject({ answer: { failed: { message: "no memory" } } });
});

test("calls of tools are sent back as calls, not as text", () => {
  const call = { function: { name: "time" } };
  const turns = heard([{ role: "user", text: "when?" }, opened(false)], { ...done, content: "", thinking: "", tool_calls: [call] }, "answer");
  expect(messagesOf(turns)).toEqual([{ role: "user", content: "when?" }, { role: "assistant", content: "", tool_calls: [call] }]);
});

test("a conversation is called after its first question", () => {
  expect(titleOf([{ role: "user", text: "  What is it?\nmore" }])).toBe("What is it?");
  expect(titleOf([{ role: "user", text: "x".repeat(59) + "😀 and so on" }])).toBe("x".repeat(59) + "😀");
  expect(titleOf([])).toBe("");
});

test("tools are named, or it is said why not", () => {
  expect(toolsIn('[{"name": "weather"}, {"type": "function", "function": {"name": "time"}}]').names).toEqual(["weather", "time"]);
  expect(toolsIn("{").problem).toBeTruthy();
  expect(toolsIn('[{"title": "x"}]').problem).toBe("name");
  expect(toolsIn(" ")).toEqual({ tools: [], names: [], problem: null });
});

test("what was stopped says so on both sides, and a failure leaves no empty side", () => {
  const stopped = ended(heard([opened(true)], done, "answer"))[0];
  expect(stopped).toMatchObject({ answer: { finish: "stop" }, base: { finish: "stopped" } });
  expect(ended([opened(false)])[0]).toMatchObject({ answer: { finish: "stopped" } });
  expect(ended(heard([opened(true)], { kind: "error", message: "no", hint: "" }, "answer"))[0]).not.toHaveProperty("base");
});

test("another answer takes the next seed", () => {
  expect([seedFor(7, 0), seedFor(7, 2), seedFor(2 ** 31 - 1, 1)]).toEqual([7, 9, 0]);
  expect(seedFor(null, 0)).toBeLessThan(2 ** 31);
});
