import { expect, test } from "vitest";
import { align, closer, extended, logTicks, lowest, moved, pictures, smooth, usualWeight, zoomedAround } from "./data";

test("the average of a flat line is the line, from its first point on", () => {
  expect(smooth([[1, 3], [2, 3], [3, 3]], 0.9).map(([, value]) => value)).toEqual([3, 3, 3].map((value) => expect.closeTo(value, 12)));
});

test("what is no number stays a gap and does not spoil what follows", () => {
  const drawn = smooth([[1, 2], [2, null], [3, 2]], 0.5);
  expect(drawn[1]).toEqual([2, null]);
  expect(drawn[2]![1]).toBeCloseTo(2);
});

test("a longer curve is smoothed more, and never to a straight line", () => {
  expect([0, 60, 100_000].map(usualWeight)).toEqual([0, 0.48, 0.9]);
});

test("lines of different steps share one axis; a missing value is not a gap", () => {
  expect(align([[[1, 5], [3, null]], [[2, 7]]])).toEqual([[1, 2, 3], [5, undefined, null], [undefined, 7, undefined]]);
});

test("new rows are put at the end, and those that were there already are not put in twice", () => {
  const series = { loss: [[1, 2.5], [2, 2.25]] as [number, number][] };
  const rows = [{ step: 2, loss: 2.25, attempt: 1, time: 9 }, { step: 3, loss: 2, eval_loss: 2.1 }];
  expect(extended(series, rows as never)).toEqual({ loss: [[1, 2.5], [2, 2.25], [3, 2]], eval_loss: [[3, 2.1]] });
  expect(series.loss).toHaveLength(2);
});

test("a step that a resumed run takes again asks for the whole curve", () => {
  expect(extended({ loss: [[1, 2.5], [2, 2.25]] }, [{ step: 2, loss: 2.2 }] as never)).toBeNull();
});

test("losses are one picture, and it comes first", () => {
  const groups = pictures({ grad_norm: [], eval_loss: [], loss: [], tokens: [], accuracy: [] });
  expect(Object.keys(groups)).toEqual(["loss", "grad_norm", "accuracy"]);
  expect(groups["loss"]).toEqual(["loss", "eval_loss"]);
});

test("the lowest point passes over gaps", () => {
  expect(lowest([[1, 3], [2, null], [3, 1], [4, 2]])).toEqual([3, 1]);
  expect(lowest([])).toBeNull();
});

test("a part that was read more closely stands in the whole curve", () => {
  expect(closer([[1, 5], [10, 4], [20, 3], [30, 2]], [[10, 4], [15, 9], [20, 3]], [9.5, 20.5])).toEqual([[1, 5], [10, 4], [15, 9], [20, 3], [30, 2]]);
  expect(closer([[1, 5]], undefined, [0, 1])).toEqual([[1, 5]]);
});

test("a logarithmic axis is marked with round numbers, however little it spans", () => {
  expect(logTicks(1.5, 15)).toEqual([2, 5, 10]);
  expect(logTicks(2.1, 2.9)).toEqual([2.2, 2.4, 2.6, 2.8]);
  expect(logTicks(1e-5, 20)).toEqual([1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10]);
  expect(logTicks(0, 1)).toEqual([]);
});

test("keys move among the steps that are seen and stop at their ends", () => {
  const steps = [1, 2, 5, 7, 9];
  expect([moved(steps, [2, 7], null, "ArrowRight", false), moved(steps, [2, 7], 1, "ArrowRight", false), moved(steps, [2, 7], 3, "ArrowRight", false), moved(steps, [2, 7], 2, "Home", false), moved(steps, [2, 7], 2, "a", false)]).toEqual([1, 2, 3, 1, null]);
});

test("zooming stays within the curve, and far enough out is all of it", () => {
  expect(zoomedAround([0, 100], [0, 100], 90, 0.5)).toEqual([50, 100]);
  expect(zoomedAround([50, 100], [0, 100], 90, 2)).toBeNull();
});
