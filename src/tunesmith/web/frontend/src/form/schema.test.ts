import { expect, test } from "vitest";
import { fieldOf, matching, parse, settingsOf, textsOf } from "./schema";

const rate = fieldOf("learning_rate", { type: "number", default: 5e-5, "x-section": "optimizer", description: "Highest learning rate." });
const bits = fieldOf("quantization_bit", { anyOf: [{ type: "integer" }, { type: "null" }], default: null });
const data = fieldOf("dataset", { anyOf: [{ type: "array", items: { type: "string" } }, { type: "string" }], default: [] });
const checkpointing = fieldOf("gradient_checkpointing", { anyOf: [{ type: "boolean" }, { enum: ["auto"] }], default: "auto" });
const method = fieldOf("finetuning_type", { enum: ["lora", "full"], default: "lora" });

test("the kind of a control follows from the schema", () => {
  expect([rate, bits, data, checkpointing, method].map((field) => field.kind)).toEqual(["number", "integer", "list", "choice", "choice"]);
  expect(checkpointing.choices).toEqual(["auto", "true", "false"]);
});

test("texts become values of the right type", () => {
  expect(parse(rate, "1e-4")).toBe(1e-4);
  expect(parse(bits, "4")).toBe(4);
  expect(parse(bits, "")).toBeNull();
  expect(parse(data, "a, b")).toEqual(["a", "b"]);
  expect(parse(checkpointing, "true")).toBe(true);
  expect(parse(checkpointing, "auto")).toBe("auto");
});

test("what can't be read stays as it was written, for the server to say what is wrong", () => {
  expect(parse(rate, "1e-")).toBe("1e-");
  expect(parse(bits, "four")).toBe("four");
});

test("only what differs from the defaults is a setting", () => {
  expect(settingsOf({ learning_rate: "5e-05", finetuning_type: "full", dataset: "", quantization_bit: "4" }, [rate, bits, data, method])).toEqual({ finetuning_type: "full", quantization_bit: 4 });
});

test("settings survive the way into the form and back", () => {
  expect(textsOf({ learning_rate: 0.00005 })).toEqual({ learning_rate: "5e-5" });
  const settings = { learning_rate: 2e-4, dataset: ["a", "b"], gradient_checkpointing: false };
  expect(settingsOf(textsOf(settings), [rate, data, checkpointing])).toEqual(settings);
});

test("a search finds names before helps", () => {
  const other = fieldOf("warmup_steps", { type: "number", default: 0, description: "Steps over which the learning rate rises." });
  const found = matching([other, rate], "learning rate", (name) => name);
  expect(found.map((field) => field.name)).toEqual(["learning_rate", "warmup_steps"]);
  expect(matching([other, rate], "no such thing", (name) => name)).toEqual([]);
});
