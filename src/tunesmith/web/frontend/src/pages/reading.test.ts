import { describe, expect, it } from "vitest";
import { isClearable, toSave } from "./reading";

/** As the server tells it of an alpaca set: the usual names stand for what the entry does not name. */
const USUAL = { query: "input", system: "system", history: "history", tools: "tools" };

describe("what is saved of the columns", () => {
  const look = { columns: { ...USUAL, prompt: "Q1", response: "A1" }, found: ["Q1", "A1", "input"] };

  it("clears a role that was read, and leaves out what the data don't have", () => {
    expect(toSave("alpaca", look.columns, look)).toEqual({ prompt: "Q1", response: "A1", query: "input" });
    expect(toSave("alpaca", { ...look.columns, query: null }, look)).toEqual({ prompt: "Q1", response: "A1", query: null });
  });

  it("keeps a role cleared when another one is changed later", () => {
    const { query: _, ...columns } = look.columns;
    expect(toSave("alpaca", { ...columns, prompt: "input" }, { ...look, columns })).toEqual({ prompt: "input", response: "A1", query: null });
  });

  it("clears nothing that a format can't do without", () => {
    expect(toSave("alpaca", { ...look.columns, prompt: null }, look)).not.toHaveProperty("prompt");
    expect([isClearable("prompt", "Q1"), isClearable("prompt", ""), isClearable("query", "input")]).toEqual([false, true, true]);
  });
});
