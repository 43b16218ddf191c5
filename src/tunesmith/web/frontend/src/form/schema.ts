// A form out of the config's JSON schema. Nothing here names a setting: a new one appears by itself.
import type { Json, Option, Property, Schema, Settings } from "../api/types";
import { written } from "../i18n";

export type Kind = "boolean" | "choice" | "integer" | "number" | "text" | "list" | "mapping" | "any";
export interface FieldSpec {
  name: string; kind: Kind; section: string; help: string; choices: string[]; suggestions: string[];
  nullable: boolean; automatic: boolean; fallback: Json; secret: boolean; min?: number; max?: number;
}
/** What may stand between the names in a list of authoring, as `split_list` takes it. */
export const BETWEEN = /[,，、;；]/;
/** What stands in the boxes, by setting; settings that were left alone are not in it. */
export type Texts = Record<string, string>;

/** Told by its name, so that it holds before the schema is there. */
export const isSecret = (name: string) => /(_token|_key|password)$/.test(name);

export function fieldsOf(schema: Schema): FieldSpec[] {
  return Object.entries(schema.properties).filter(([, property]) => !property.deprecated).map(([name, property]) => fieldOf(name, property));
}

export function fieldOf(name: string, property: Property): FieldSpec {
  const forms = property.anyOf ?? [property];
  const types = forms.map((form) => form.type ?? (form.enum ? "enum" : "any"));
  const nullable = types.includes("null");
  const words = forms.flatMap((form) => form.enum ?? []).filter((word) => word !== null).map(String);
  const booleans = types.includes("boolean") ? ["true", "false"] : [];
  const bounds = forms.find((form) => form.minimum !== undefined || form.maximum !== undefined || form.exclusiveMinimum !== undefined);
  return {
    name, nullable, automatic: property["x-automatic"] ?? false, kind: kindOf(types, nullable), section: property["x-section"] ?? "", help: property.description ?? "",
    choices: [...new Set([...words, ...booleans])], suggestions: property["x-suggestions"] ?? [], fallback: property.default ?? null,
    secret: property["x-secret"] || isSecret(name), min: bounds?.minimum ?? bounds?.exclusiveMinimum, max: bounds?.maximum ?? bounds?.exclusiveMaximum,
  };
}

/** A field of a command's option. */
export function fieldOfOption(option: Option): FieldSpec {
  const kind = ({ switch: "boolean", number: "number", choice: "choice", list: "list" } as const)[option.kind as "switch"] ?? "text";
  const fallback = (option.default ?? null) as Json;
  return { name: option.name, kind, section: "authoring", help: option.help, choices: option.choices, suggestions: [], nullable: fallback === null, automatic: option.automatic, fallback, secret: false };
}

function kindOf(types: string[], nullable: boolean): Kind {
  if (types.includes("array")) return "list";
  if (types.includes("object")) return "mapping";
  if (types.includes("string") && types.length > (nullable ? 2 : 1)) return "text";
  if (types.includes("enum") || (types.includes("boolean") && types.length > 1)) return "choice";
  for (const kind of ["boolean", "number", "integer"] as const) if (types.includes(kind)) return kind;
  return types.includes("string") ? "text" : "any";
}

/** The value that a text stands for. What can't be read stays text, so that the server says what is wrong with it. */
export function parse(field: FieldSpec | undefined, text: string): Json {
  const bare = text.trim();
  if (!field) return bare === "true" || bare === "false" ? bare === "true" : text;
  if (bare === "" && (field.nullable || field.kind === "integer" || field.kind === "number")) return null;
  switch (field.kind) {
    case "integer": return /^[+-]?\d+$/.test(bare) ? Number(bare) : text;
    case "number": return bare !== "" && Number.isFinite(Number(bare)) ? Number(bare) : text;
    case "boolean": return bare === "true" ? true : bare === "false" ? false : text;
    case "choice": return field.choices.includes("true") && (bare === "true" || bare === "false") ? bare === "true" : text;
    case "list": return bare === "" ? [] : bare.split(field.section === "authoring" ? BETWEEN : ",").map((item) => item.trim()).filter(Boolean);
    case "mapping": case "any": return bare === "" ? (field.kind === "mapping" ? {} : null) : jsonOr(text);
    case "text": return text;
  }
}

function jsonOr(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

export function toText(value: Json | undefined): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map((item) => (typeof item === "object" ? JSON.stringify(item) : String(item))).join(",");
  if (typeof value === "object") return Object.keys(value).length ? JSON.stringify(value) : "";
  return typeof value === "number" ? written(value) : String(value);
}

/** Arguments as a shell takes them, those with more than plain characters in quotes. */
export const commandLine = (words: string[]): string => words.map((word) => (/^[\p{L}\p{N}_@%+=:,.\/\\~-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");

/** The settings that differ from the defaults, as the server takes them. */
export function settingsOf(texts: Texts, fields: FieldSpec[]): Settings {
  const known = new Map(fields.map((field) => [field.name, field]));
  const settings: Settings = {};
  for (const [name, text] of Object.entries(texts)) {
    const field = known.get(name);
    const value = parse(field, text);
    if (value === null && !field?.nullable) continue;
    if (field && toText(value) === toText(field.fallback)) continue;
    settings[name] = value;
  }
  return settings;
}

export const textsOf = (settings: Settings): Texts => Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, toText(value)]));

/** Fields whose name, label or help has every word that was typed. */
export function matching(fields: FieldSpec[], query: string, label: (name: string) => string): FieldSpec[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const score = (field: FieldSpec) => {
    const name = `${field.name} ${field.name.replaceAll("_", " ")} ${label(field.name)}`.toLowerCase();
    const all = `${name} ${field.help} ${field.section}`.toLowerCase();
    if (!words.every((word) => all.includes(word))) return 0;
    return words.every((word) => name.includes(word)) ? 2 : 1;
  };
  const scored = fields.map((field) => [field, score(field)] as const).filter(([, points]) => points > 0);
  return scored.sort(([, a], [, b]) => b - a).map(([field]) => field);
}
