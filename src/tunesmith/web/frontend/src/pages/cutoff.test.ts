import { expect, test } from "vitest";
import { atCutoff } from "./cutoff";

const counted = [
  { cutoff: 100, truncated_rows: 40, truncated_tokens: 4000, packed_rows: 10, fill: 0.9 },
  { cutoff: 200, truncated_rows: 20, truncated_tokens: 1000, packed_rows: 6, fill: 0.8 },
];

test("between two counted cutoffs the numbers lie between", () => {
  expect(atCutoff(counted, 150)).toMatchObject({ truncated_rows: 30, truncated_tokens: 2500, packed_rows: 8 });
});

test("outside of them the nearest counts, and without any there is nothing to say", () => {
  expect(atCutoff(counted, 50)).toMatchObject({ truncated_rows: 40, cutoff: 50 });
  expect(atCutoff(counted, 900)).toMatchObject({ truncated_rows: 20 });
  expect(atCutoff([], 100)).toBeNull();
});
