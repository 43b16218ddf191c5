import { expect, it } from "vitest";
import { lookOf } from "./mask";

it("tells a control token that is learned from one that is only read", () => {
  expect(lookOf({ kind: "special", trained: true })).toBe("learned");
  expect(lookOf({ kind: "special", trained: false })).toBe("special");
  expect(lookOf({ kind: "trained", trained: true })).toBe("trained");
});
