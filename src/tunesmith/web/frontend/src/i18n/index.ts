// Words of the page. English is the pattern that the other dictionaries are typed after, so a missing word does not compile.
import { useSyncExternalStore } from "react";
import { en, type Key, type Words } from "./en";
import { LABELS } from "./labels";
import type { Labels, Plural } from "./shapes";

export type { Key, Words } from "./en";

export const LANGUAGES = { en: "English", "zh-CN": "简体中文", "zh-TW": "繁體中文", ja: "日本語", ko: "한국어", ru: "Русский" } as const;
export type Language = keyof typeof LANGUAGES;

export const loaders: Record<Exclude<Language, "en">, () => Promise<{ words: Words; labels: Labels }>> = {
  "zh-CN": () => import("./zh-CN"),
  "zh-TW": () => import("./zh-TW"),
  ja: () => import("./ja"),
  ko: () => import("./ko"),
  ru: () => import("./ru"),
};

let language: Language = "en";
let words: Words = en;
let labels: Labels = LABELS;
const watchers = new Set<() => void>();

export function guess(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    if (/^zh\b(?!-hans).*(tw|hk|mo|hant)/i.test(tag)) return "zh-TW";
    if (/^zh\b/i.test(tag)) return "zh-CN";
    const known = (["en", "ja", "ko", "ru"] as const).find((one) => new RegExp(`^${one}\\b`, "i").test(tag));
    if (known) return known;
  }
  return "en";
}

export async function setLanguage(next: Language): Promise<void> {
  const loaded = next === "en" ? { words: en as Words, labels: LABELS } : await loaders[next]();
  ({ words, labels } = loaded);
  language = next;
  document.documentElement.lang = next;
  watchers.forEach((tell) => tell());
}

export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

export function t(key: Key, values: Record<string, string | number> = {}): string {
  const entry: string | Plural = words[key];
  if (typeof entry === "string") return fill(entry, values);
  const rule = new Intl.PluralRules(language).select(Number(values["n"] ?? 0));
  return fill(entry[rule] ?? entry.other, values);
}

/** A word for something the server names, or its own name. */
export function named(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  return key in words ? t(key as Key) : name;
}

export const settingName = (key: string): string | undefined => labels[key] ?? LABELS[key];

export function useLanguage(): Language {
  return useSyncExternalStore((tell) => (watchers.add(tell), () => void watchers.delete(tell)), () => language);
}

const SCRIPTS: Record<string, string> = { zh: "zh-Hans", "zh-TW": "zh-Hant" };
/** What a language is called in the page's: "Japanese", "日語". */
export const languageName = (tag: string): string => new Intl.DisplayNames(language, { type: "language" }).of(SCRIPTS[tag] ?? tag) ?? tag;

export function number(value: number, digits?: number): string {
  return new Intl.NumberFormat(language, digits === undefined ? { maximumFractionDigits: 4 } : { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export const percent = (share: number, digits = 0) =>
  new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(share);

/** In decimal units, as the language writes them: "12.5 GB", "12,5 ГБ". */
export function bytes(count: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const at = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  if (!at) return `${number(count)}\u00a0${language === "ru" ? "Б" : "B"}`; // "byte" in full otherwise, in some without a space
  const digits = at < 3 ? 0 : 1;
  const shape = { style: "unit", unit: units[at], unitDisplay: "short", minimumFractionDigits: digits, maximumFractionDigits: digits } as const;
  return new Intl.NumberFormat(language, shape).format(count / 1000 ** at);
}

/** A number as people type it in settings: small ones as 5e-5. */
export const written = (value: number): string => (value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value));

/** A measured value: as many digits as say something. */
export function measure(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return number(value, 0);
  if (size !== 0 && size < 1e-3) return written(Number(value.toPrecision(3)));
  if (size >= 1e7) return value.toExponential(2).replace("+", "");
  return number(value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4);
}

export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (n: number) => String(n).padStart(2, "0");
  if (hours >= 48) return t("time.days", { n: Math.round(hours / 24) });
  return hours ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}

export function when(seconds: number): string {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  const clock = { hour: "numeric", minute: "2-digit" } as const;
  const year = date.getFullYear() === new Date().getFullYear() ? {} : ({ year: "numeric" } as const);
  return new Intl.DateTimeFormat(language, today ? clock : { ...year, month: "short", day: "numeric", ...clock }).format(date);
}
