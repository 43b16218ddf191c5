// Every dictionary against the English one, the settings that the server describes, and the pages' own source.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";
import type { Option, Schema } from "../api/types";
import { fieldsFor } from "../form/layout";
import { fieldsOf } from "../form/schema";
import { en } from "./en";
import { loaders, type Key, type Words } from "./index";

const DESCRIBE = `
import json
from tunesmith.web.api.authoring import authoring_options
from tunesmith.web.forms import VERBS, schema_for
options = [option.model_dump() for verb in ("make", "roles", "convert") for option in authoring_options(verb)]
print(json.dumps({"forms": {verb: schema_for(verb) for verb in VERBS}, "options": options}))
`;
const described = JSON.parse(execFileSync(process.env["PYTHON"] ?? "python3", ["-c", DESCRIBE], { encoding: "utf-8", maxBuffer: 1 << 26 })) as { forms: Record<string, Schema>; options: Option[] };
const sections = Object.values(described.forms).flatMap((schema) => Object.values(schema.properties).map((property) => `section.${property["x-section"]}`));
const settings = [...new Set([
  ...Object.entries(described.forms).flatMap(([verb, schema]) => fieldsFor(verb, fieldsOf(schema)).map((field) => field.name)),
  ...described.options.map((option) => option.name),
])];

/** What is written the same in every language. */
const NAMES = /^(Tunesmith|dataset|LoRA|PPO|DPO|KTO|GRPO|Top-[pk]|Logits|Python|CSV|PNG|Modelfile|Hugging Face|ModelScope|sft|pt|bash|PowerShell)$/;
const forms = (entry: Words[Key]): string[] => (typeof entry === "string" ? [entry] : Object.values(entry));
const blanks = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort().join();
const keys = Object.keys(en) as Key[];

const dictionaries = await Promise.all([
  ["en", en as Words, null] as const,
  ...Object.entries(loaders).map(async ([language, load]) => { const { words, labels } = await load(); return [language, words, labels] as const; }),
]);

test.each(dictionaries)("%s has every word, with the same blanks to fill and the plurals of its language", (language, words) => {
  expect(Object.keys(words).sort()).toEqual([...keys].sort());
  expect(keys.filter((key) => forms(words[key]).some((text) => blanks(text) !== blanks(forms(en[key])[0]!)))).toEqual([]);
  const plurals = new Intl.PluralRules(language).resolvedOptions().pluralCategories.sort().join();
  expect(keys.filter((key) => typeof words[key] === "object" && Object.keys(words[key]).sort().join() !== plurals)).toEqual([]);
  expect(keys.filter((key) => typeof en[key] === "object" && typeof words[key] === "string" && plurals !== "other")).toEqual([]);
});

test.each(dictionaries.slice(1))("%s leaves nothing in English and names every setting", (_, words, labels) => {
  expect(keys.filter((key) => typeof en[key] === "string" && words[key] === en[key] && !NAMES.test(en[key]))).toEqual([]);
  expect(settings.filter((name) => !labels![name])).toEqual([]);
  expect(sections.filter((key) => !(key in words))).toEqual([]);
});

test("pages say nothing that stands in no dictionary", () => {
  const source = new URL("../", import.meta.url);
  const files = readdirSync(source, { recursive: true, encoding: "utf-8" }).filter((name) => name.endsWith(".tsx"));
  expect(files.flatMap((name) => literals(ts.createSourceFile(name, readFileSync(new URL(name.replaceAll("\\", "/"), source), "utf-8"), ts.ScriptTarget.Latest, true)).map((text) => `${name}: ${text}`))).toEqual([]);
});

/** Words between tags, and in the attributes that are seen or read aloud. */
function literals(node: ts.Node): string[] {
  const spoken = ts.isJsxAttribute(node) && /^(aria-label|title|placeholder|alt|label|lead|help)$/.test(node.name.getText());
  const text = ts.isJsxText(node) ? node.text : spoken && node.initializer && ts.isStringLiteral(node.initializer) ? node.initializer.text : "";
  const found = /\p{L}{2}/u.test(text) && !NAMES.test(text.trim()) ? [text.trim()] : [];
  return [...found, ...node.getChildren().flatMap(literals)];
}
