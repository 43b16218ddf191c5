import { expect, test } from "vitest";
import type { TableHead } from "../api/types";
import { partOf, toggled, withPart } from "./authoring-parts";

const guessed: TableHead = {
  name: "faq.csv", columns: ["question", "answer", "context"], more_columns: 0, rows: [], format: "columns", guessed: true, problem: null,
  parts: { instruction: ["question"], output: ["answer"], input: ["context"] },
};
const unknown: TableHead = { ...guessed, columns: ["a", "b"], format: "", parts: {} };

test("a column is what the form says, also within a text, else what was guessed", () => {
  expect(partOf("question", guessed, {})).toBe("instruction");
  expect(partOf("context", guessed, { instruction: "{question} in {context}" })).toBe("instruction");
  expect(partOf("question", guessed, { instruction: "context" })).toBe("");
});

test("changing one column keeps the rest of the guess", () => {
  expect(withPart("context", "system", guessed, {})).toEqual({ instruction: "question", output: "answer", input: "", system: "context" });
  expect(withPart("context", "", guessed, {})).toMatchObject({ instruction: "question", output: "answer", input: "" });
});

test("columns that nobody could guess are named one after the other, and a column is in one place", () => {
  const first = withPart("a", "instruction", unknown, {});
  expect(withPart("b", "output", unknown, first)).toMatchObject({ instruction: "a", output: "b" });
  expect(withPart("a", "output", unknown, first)).toMatchObject({ instruction: "", output: "a" });
});

test("a click adds a word to a list, and takes it out again", () => {
  expect(toggled("皇帝，皇上", "四郎")).toBe("皇帝, 皇上, 四郎");
  expect(toggled("HAMLET, Ham", "HAMLET")).toBe("Ham");
});
