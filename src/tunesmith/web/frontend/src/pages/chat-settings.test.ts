import { expect, it } from "vitest";
import { wordsOf } from "./chat-settings";

it("names the box of each wrong setting, whether or not the server's words do", () => {
  expect(wordsOf({ field: "top_p", message: "top_p is 7, but at most 1.0." })).toBe("Top-p is 7, but at most 1.0.");
  expect(wordsOf({ field: "seed", message: "A whole number is expected." })).toBe("Seed: A whole number is expected.");
});
