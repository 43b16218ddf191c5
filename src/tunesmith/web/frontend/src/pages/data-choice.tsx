import { useId } from "react";
import { get } from "../api/client";
import type { Dataset, Problem } from "../api/types";
import { useResource } from "../api/use";
import { labelOf } from "../form/field";
import { t } from "../i18n";
import { href } from "../router";
import { Said } from "../ui/said";

/** The data sets of a setting: those of the workspace to tick, others by name or path. */
export function DataChoice({ name = "dataset", help, text, folder, problems, onChange }: { name?: string; help?: string; text: string; folder: string; problems: Problem[]; onChange: (text: string) => void }) {
  const id = useId();
  const sets = useResource<Dataset[]>(`datasets:${folder}`, (signal) => get("datasets", { dataset_dir: folder }, signal));
  const chosen = text.split(",").map((one) => one.trim()).filter(Boolean);
  const toggle = (set: string) => onChange((chosen.includes(set) ? chosen.filter((one) => one !== set) : [...chosen, set]).join(","));
  return (
    <div className="field wide" data-field={name}>
      <div className="name"><label htmlFor={id}>{labelOf(name)}</label><span className="key">{name}</span></div>
      {sets.data && sets.data.length > 0 && (
        <div className="row">
          {sets.data.slice(0, 60).map((set) => <button key={set.name} type="button" className="tag big" aria-pressed={chosen.includes(set.name)} onClick={() => toggle(set.name)}>{set.name}</button>)}
        </div>
      )}
      <input id={id} value={text} onChange={(event) => onChange(event.target.value)} spellCheck={false} placeholder={t("train.dataset.placeholder")} aria-invalid={problems.length > 0 || undefined} />
      {problems.map((problem, n) => <p key={n} className={`problem ${problem.level}`}><span><Said text={`${problem.message} ${problem.hint}`} /></span></p>)}
      {help && <p className="help">{help}</p>}
      <p className="help">{t("train.dataset.help")} <a href={href("data")}>{t("nav.data")}</a></p>
    </div>
  );
}
