import { expect, test } from "vitest";
import { namesOf } from "./run-names";

test("runs of one name are told apart by as much of their path as it takes", () => {
  expect(namesOf(["saves/m1/sft", "saves/m2/sft", "saves/other"])).toEqual(["m1/sft", "m2/sft", "other"]);
  expect(namesOf(["sft", "m/sft", "mm/sft"])).toEqual(["sft", "m/sft", "mm/sft"]);
});
