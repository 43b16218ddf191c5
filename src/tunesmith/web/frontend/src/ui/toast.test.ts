import { expect, test } from "vitest";
import { joined, type Toast } from "./toast";

const toast = (id: number, text: string, more: Partial<Toast> = {}): Toast => ({ id, text, tone: "good", hint: "", page: "", ...more });

test("what is said again takes the place of what was said, and three are shown at most", () => {
  const said = (...texts: string[]) => texts.reduce<Toast[]>((shown, text, id) => joined(shown, toast(id, text)), []).map((one) => `${one.id}${one.text}`);
  expect(said("saved", "saved", "saved")).toEqual(["2saved"]);
  expect(said("a", "saved", "b", "saved")).toEqual(["0a", "2b", "3saved"]);
  expect(said("a", "b", "c", "d")).toEqual(["1b", "2c", "3d"]);
});
