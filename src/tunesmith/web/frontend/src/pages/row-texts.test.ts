import { expect, test } from "vitest";
import { rowOf, textsOfRow } from "./row-texts";

test("a column that the row lacks is offered, and only written once something stands in it", () => {
  const row = { question: "c?", tags: ["x"], note: null };
  const texts = textsOfRow(row, ["question", "reply"]);
  expect(texts).toEqual({ question: "c?", tags: '[\n  "x"\n]', note: "", reply: "" });
  expect(rowOf(row, texts)).toEqual({ row });
  expect(rowOf(row, { ...texts, reply: "d", note: "n" })).toEqual({ row: { ...row, reply: "d", note: "n" } });
  expect(rowOf(row, { ...texts, tags: "[" })).toMatchObject({ wrong: "tags" });
});
