import { expect, test } from "vitest";
import { en } from "./en";
import { guess, setLanguage, t } from "./index";
import { words as cn } from "./zh-CN";
import { words as tw } from "./zh-TW";

const texts = (entry: unknown): string[] => (typeof entry === "string" ? [entry] : Object.values(entry as Record<string, string>));
const blanks = (entry: unknown) => [...new Set(texts(entry).flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();

test.each([["zh-TW", tw], ["zh-CN", cn]])("%s has every word with the same blanks to fill", (_, words) => {
  expect(Object.keys(words).sort()).toEqual(Object.keys(en).sort());
  const wrong = Object.entries(en).filter(([key, entry]) => blanks(words[key as keyof typeof en]).join() !== blanks(entry).join()).map(([key]) => key);
  expect(wrong).toEqual([]);
});

test("a browser's languages are understood", () => {
  expect(guess(["zh-Hant-HK", "en"])).toBe("zh-TW");
  expect(guess(["zh"])).toBe("zh-CN");
  expect(guess(["fr", "en-GB"])).toBe("en");
  expect(guess(["fr"])).toBe("en");
});

test("numbers choose the form of a word", async () => {
  (globalThis as { document?: unknown }).document = { documentElement: { lang: "" } };
  await setLanguage("en");
  expect(t("dataset.duplicates", { n: 1 })).toBe("1 row is there twice.");
  expect(t("dataset.duplicates", { n: 1200 })).toBe("1,200 rows are there more than once.");
  await setLanguage("zh-TW");
  expect(t("dataset.duplicates", { n: 1 })).toBe("有 1 列重複。");
});
