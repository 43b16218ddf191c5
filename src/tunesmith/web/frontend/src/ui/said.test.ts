import { expect, test } from "vitest";
import { piecesOf } from "./said";

const labels: Record<string, string> = { as_text: "As plain text", only: "Take only", learning_rate: "Learning rate" };
const read = (text: string) => piecesOf(text, (name) => labels[name]).map(({ kind, text: words }) => (kind === "text" ? words : `<${kind} ${words}>`)).join("");

test("a flag is the field that stands here, and any other stays as it is", () => {
  expect(read("Take --only text, or add --as-text.")).toBe("Take <field Take only> text, or add <field As plain text>.");
  expect(read("Start it with --allow-host NAME.")).toBe("Start it with --allow-host NAME.");
});

test("code is code, flags in it too, and the help of a setting is its field", () => {
  expect(read("`tunesmith data make` writes them.")).toBe("<code tunesmith data make> writes them.");
  expect(read("try `tunesmith data convert --only text`")).toBe("try <code tunesmith data convert --only text>");
  expect(read("`tunesmith help learning_rate` says more.")).toBe("<field Learning rate> says more.");
});
