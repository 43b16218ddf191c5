import { useId } from "react";
import type { Problem } from "../api/types";
import { languageName, named, settingName, t } from "../i18n";
import { Said } from "../ui/said";
import { toText, type FieldSpec } from "./schema";

/** `per_device_train_batch_size` without a label of its own reads "Per device train batch size". */
const plain = (name: string) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
export const labelOf = (name: string): string => settingName(name) ?? plain(name);
/** Labels of these fields alone, for texts that speak of them. */
export function labelsOf(fields: FieldSpec[]): (name: string) => string | undefined {
  const known = new Set(fields.map((field) => field.name));
  return (name) => (known.has(name) ? labelOf(name) : undefined);
}

interface Props { field: FieldSpec; text: string | undefined; problems: Problem[]; suggestions?: string[]; onChange: (text: string) => void }

export function Field({ field, text, problems, suggestions, onChange }: Props) {
  const id = useId();
  const value = text ?? toText(field.fallback);
  const wrong = problems.some((problem) => problem.level === "error");
  const described = `${id}-help${problems.length ? ` ${id}-problem` : ""}`;
  const shared = { id, "aria-describedby": described, "aria-invalid": wrong || undefined };
  const offered = [...new Set([...(suggestions ?? []), ...field.suggestions])];
  const changed = text !== undefined && text !== toText(field.fallback);
  const wide = field.kind === "mapping";
  return (
    <div className={["field", field.kind === "boolean" && "check", wide && "wide", changed && "changed"].filter(Boolean).join(" ")} data-field={field.name}>
      {field.kind === "boolean" && <input type="checkbox" {...shared} checked={value === "true"} onChange={(event) => onChange(String(event.target.checked))} />}
      <div className="name">
        <label htmlFor={id}>{labelOf(field.name)}</label>
        <span className="key" title={field.name}>{field.name}</span>
      </div>
      {field.kind === "choice" && (
        <select {...shared} value={value} onChange={(event) => onChange(event.target.value)}>
          {field.nullable && <option value="">{unset(field)}</option>}
          {field.choices.map((choice) => <option key={choice} value={choice}>{choiceWord(field.name, choice)}</option>)}
        </select>
      )}
      {field.kind !== "boolean" && field.kind !== "choice" && (
        <input
          {...shared} value={value} onChange={(event) => onChange(event.target.value)} spellCheck={false} autoComplete="off"
          type={field.secret ? "password" : "text"} inputMode={field.kind === "integer" ? "numeric" : undefined}
          list={offered.length ? `${id}-list` : undefined} placeholder={field.nullable && field.fallback === null ? unset(field) : undefined}
        />
      )}
      {offered.length > 0 && <datalist id={`${id}-list`}>{offered.map((one) => <option key={one} value={one} />)}</datalist>}
      <p className="help" id={`${id}-help`}><Said text={field.help} /></p>
      {problems.length > 0 && (
        <div id={`${id}-problem`}>
          {problems.map((problem, n) => <p key={n} className={`problem ${problem.level}`}><span><Said text={`${problem.message} ${problem.hint}`} /></span></p>)}
        </div>
      )}
    </div>
  );
}

/** What it means that nothing is given. */
function unset(field: FieldSpec): string {
  const words = named(`choice.${field.name}`, "unset");
  return words !== "unset" ? words : field.automatic ? t("form.auto") : t("form.none");
}

function choiceWord(name: string, choice: string): string {
  if (name === "language" && choice !== "auto") return `${languageName(choice)} (${choice})`;
  const words = named(`choice.${name}`, choice);
  return words === choice ? (choice === "true" ? t("yes") : choice === "false" ? t("no") : choice) : `${words} (${choice})`;
}
