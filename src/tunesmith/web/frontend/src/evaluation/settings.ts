// What the form of an evaluation asks, and the settings it comes to.
import type { Settings } from "../api/types";
import { settingsOf, toText, type FieldSpec, type Texts } from "../form/schema";

/** They decide which rows were held back from training: with others, rows that were trained on would be asked. */
const HELD_BY = new Set(["dataset", "val_size", "max_samples", "data_seed", "cutoff_len"]);
/** The choice of the model, which is no field of the form. */
const CHOSEN = new Set(["model_name_or_path", "adapter_name_or_path"]);

export interface Asked { fields: FieldSpec[]; settings: Settings; held: boolean }

/** known: what the chosen model brings along. held: no data set is named, so that the rows are asked that its training held back. */
export function asked(fields: FieldSpec[], texts: Texts, known: Settings = {}): Asked {
  const named = (texts["eval_dataset"] ?? toText(known["eval_dataset"])).trim() !== "";
  const held = !named && Boolean(known["val_size"]);
  const kept = Object.fromEntries(Object.entries(known).filter(([name]) => !named || name === "cutoff_len" || !HELD_BY.has(name)));
  const shown = fields
    .filter((field) => !CHOSEN.has(field.name) && !(held && HELD_BY.has(field.name)))
    .map((field) => (field.name in kept ? { ...field, fallback: kept[field.name]! } : field));
  const names = new Set(shown.map((field) => field.name));
  const own = settingsOf(Object.fromEntries(Object.entries(texts).filter(([name]) => names.has(name))), shown);
  return { fields: shown, settings: { ...kept, ...own }, held };
}
