import { expect, test } from "vitest";
import { pauseBefore } from "./reloading";

test("answers every half second are asked for every two seconds, and not once at the end", () => {
  let [shown, asked] = [0, 0];
  // Each answer cancels the timer of the one before and sets its own.
  for (let now = 500; now <= 8_000; now += 500) {
    const due = now + pauseBefore(shown, now);
    if (due < now + 500) { shown = due; asked++; }
  }
  expect(asked).toBe(4);
});
