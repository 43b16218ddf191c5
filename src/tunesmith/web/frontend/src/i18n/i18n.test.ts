import { expect, test } from "vitest";
import { bytes, guess, measure, setLanguage, t } from "./index";

test("a browser's languages are understood", () => {
  expect(guess(["zh-Hant-HK", "en"])).toBe("zh-TW");
  expect(guess(["zh"])).toBe("zh-CN");
  expect(guess(["zh-Hans-HK"])).toBe("zh-CN");
  expect(["ja-JP", "ko", "ru-RU"].map((tag) => guess([tag]))).toEqual(["ja", "ko", "ru"]);
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
  await setLanguage("ru");
  expect([1, 3, 11, 21].map((n) => t("log.lines", { n }))).toEqual(["1 строка", "3 строки", "11 строк", "21 строка"]);
});

test("numbers and sizes are written as the language does", async () => {
  await setLanguage("en");
  expect([bytes(0), bytes(1234), bytes(12.5e9), measure(5e-5), measure(1.2345e-4)]).toEqual(["0\u00a0B", "1 kB", "12.5 GB", "5e-5", "1.23e-4"]);
  await setLanguage("ru");
  expect([bytes(12.5e9), measure(5e-5), measure(0.25)].map((text) => text.replace("\u00a0", " "))).toEqual(["12,5 ГБ", "5e-5", "0,2500"]);
});
