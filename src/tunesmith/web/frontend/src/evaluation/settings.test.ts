import { expect, test } from "vitest";
import { fieldOf } from "../form/schema";
import { asked } from "./settings";

const fields = [
  fieldOf("model_name_or_path", { type: "string", default: "" }),
  fieldOf("eval_dataset", { type: "array", items: { type: "string" }, default: [] }),
  fieldOf("max_samples", { anyOf: [{ type: "integer" }, { type: "null" }], default: null }),
  fieldOf("cutoff_len", { type: "integer", default: 2048 }),
  fieldOf("seed", { type: "integer", default: 42 }),
];
const trained = { model_name_or_path: "base", adapter_name_or_path: ["saves/one"], dataset: ["rows"], val_size: 0.1, max_samples: 500, cutoff_len: 512 };

test("the rows that a training held back stay the same rows", () => {
  const form = asked(fields, { max_samples: "20", cutoff_len: "64", seed: "7" }, trained);
  expect(form.held).toBe(true);
  expect(form.fields.map((field) => field.name)).toEqual(["eval_dataset", "seed"]);
  expect(form.settings).toEqual({ ...trained, seed: 7 });
});

test("a data set of its own replaces what was held back", () => {
  const form = asked(fields, { eval_dataset: "exam", max_samples: "20" }, trained);
  expect(form.held).toBe(false);
  expect(form.settings).toEqual({ model_name_or_path: "base", adapter_name_or_path: ["saves/one"], cutoff_len: 512, eval_dataset: ["exam"], max_samples: 20 });
  expect(form.fields.find((field) => field.name === "cutoff_len")?.fallback).toBe(512);
});

test("what the model brings along can be taken back", () => {
  expect(asked(fields, { eval_dataset: "" }, { ...trained, eval_dataset: ["exam"] })).toMatchObject({ held: true, settings: { eval_dataset: [] } });
});
