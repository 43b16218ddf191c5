import { expect, test } from "vitest";
import { diff, tokens } from "./diff";

/** What stands in one text alone is put in brackets. */
const shown = (left: string, right: string) => diff(left, right).map((side) => side.map(({ text, same }) => (same ? text : `[${text}]`)).join(""));

test("words differ as words, with nothing lost", () => {
  expect(shown("The capital is Paris, France.", "The capital is Lyon, in France.")).toEqual(["The capital is [Paris], France.", "The capital is [Lyon], [in] France."]);
  expect(shown("one two three", "one 2 drei three")).toEqual(["one [two] three", "one [2 drei] three"]);
});

test("scripts without spaces differ by characters", () => {
  expect(shown("首都是臺北市。", "首都是高雄市。")).toEqual(["首都是[臺北]市。", "首都是[高雄]市。"]);
  expect(shown("これはペンです", "これは本です")).toEqual(["これは[ペン]です", "これは[本]です"]);
  expect(tokens("用Qwen3訓練 它")).toEqual(["用", "Qwen3", "訓", "練", " ", "它"]);
});

test("marks and joined emoji stay whole", () => {
  expect(tokens("cafe\u0301 👩‍🚀👍🏽 กำ")).toEqual(["cafe\u0301", " ", "👩‍🚀", "👍🏽", " ", "ก", "ำ"]);
});

test("spaces alone are no difference", () => {
  expect(shown("a  b\n", "a b")).toEqual(["a  b\n", "a b"]);
});

test("an empty answer, the same answer, one that has nothing of the other", () => {
  expect(shown("", "all of it")).toEqual(["", "[all of it]"]);
  expect(shown("same", "same")).toEqual(["same", "same"]);
  expect(shown("yes", "no")).toEqual(["[yes]", "[no]"]);
});

test("long texts come apart quickly: their ends are compared and the rest is told as different", () => {
  const words = (word: string) => Array.from({ length: 9000 }, (_, n) => `${word}${n}`).join(" ");
  const [left, right] = diff(`start ${words("a")} end`, `start ${words("b")} end`);
  expect([left.length, right.length, left[0]!.text, right.at(-1)!.text]).toEqual([3, 3, "start ", " end"]);
});

test("the stretches of a text are the text", () => {
  for (const [left, right] of [[" lead and trail ", "trail and lead"], ["甲乙 丙", "丙 甲乙丁"], ["\u{1f600}x", "x\u{1f600}"]] as const) {
    expect(diff(left, right).map((side) => side.map((one) => one.text).join(""))).toEqual([left, right]);
  }
});
