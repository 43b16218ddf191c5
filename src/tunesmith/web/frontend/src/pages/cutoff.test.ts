import { expect, test } from "vitest";
import { atCutoff, pressed, rangeOf } from "./cutoff";

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

test("the axis ends a little above the longest row, whatever the cutoff is", () => {
  expect([131, 287, 3, 99_999].map(rangeOf)).toEqual([140, 310, 16, 110_000]);
});

test("a cutoff beyond the axis comes back to its end, and is not made smaller by a key that makes it larger", () => {
  expect([pressed("ArrowLeft", 2048, 140), pressed("ArrowRight", 2048, 140), pressed("Home", 2048, 140)]).toEqual([139, 2048, 1]);
});

test("keys move the cutoff and never out of its range", () => {
  expect([pressed("ArrowLeft", 2048, 2100), pressed("PageUp", 2048, 2100), pressed("Home", 2048, 2100), pressed("End", 5, 290)]).toEqual([2038, 2100, 1, 290]);
  expect(pressed("Tab", 2048, 2100)).toBeNull();
});
