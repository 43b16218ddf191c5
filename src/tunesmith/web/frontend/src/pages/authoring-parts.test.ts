import { expect, test } from "vitest";
import type { TableHead } from "../api/types";
import { commonProblem, heldBy, partOf, toggled, withPart } from "./authoring-parts";

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

test("a column that stays whatever is clicked can't be given up, and says why", () => {
  const template = { instruction: "{question} in {context}", output: "answer" };
  expect(["question", "context", "answer"].map((column) => heldBy(column, guessed, template))).toEqual(["written", "written", null]);
  expect(["question", "context", "answer"].map((column) => heldBy(column, guessed, {}))).toEqual(["needed", null, "needed"]);
  const plain = { ...guessed, format: "text", columns: ["text", "id"], parts: { text: ["text"] } };
  expect([heldBy("text", plain, {}), heldBy("id", plain, {})]).toEqual(["needed", null]);
});

test("a field is wrong where every table says so, not where a cover sheet does", () => {
  const problem = { field: "instruction", message: "Which?", hint: "" };
  const cover = { ...unknown, problem };
  expect(commonProblem({ tables: [cover, guessed], more: 0 })).toBeNull();
  expect(commonProblem({ tables: [cover, cover], more: 0 })).toEqual(problem);
  expect(commonProblem({ tables: [cover, { ...cover, problem: { ...problem, field: "output" } }], more: 0 })).toBeNull();
  expect(commonProblem({ tables: [cover], more: 1 })).toBeNull();
  expect(commonProblem({ tables: [], more: 0 })).toBeNull();
});

test("a click adds a word to a list, and takes it out again", () => {
  expect(toggled("皇帝，皇上", "四郎")).toBe("皇帝, 皇上, 四郎");
  expect(toggled("HAMLET, Ham", "HAMLET")).toBe("Ham");
});
