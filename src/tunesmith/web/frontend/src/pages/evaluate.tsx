import { useEffect, useMemo, useState } from "react";
import { get, post, segment } from "../api/client";
import type { About, RunDetail, Schema, Settings } from "../api/types";
import { useKept, useResource } from "../api/use";
import { asked } from "../evaluation/settings";
import { useCheck } from "../form/check";
import { Field, labelOf } from "../form/field";
import { SettingsForm } from "../form/form";
import { EVALUATE, fieldsFor } from "../form/layout";
import { fieldsOf, isSecret, textsOf, toText, type FieldSpec, type Texts } from "../form/schema";
import { percent, t } from "../i18n";
import { go, href, useRoute } from "../router";
import { Button, Failure, Page, Waiting } from "../ui/parts";
import { Said } from "../ui/said";
import { CommandDialog, ImportDialog } from "./arguments";
import { DataChoice } from "./data-choice";
import { DeviceChoice } from "./devices";
import { Earlier } from "./earlier";
import { SourceField, useSource } from "./source";
import { useStart } from "./trust";

/** from: the model as a person names it. */
interface Filled { from: string; texts: Texts }
const NOTHING: Filled = { from: "", texts: {} };
/** Fields that stand beside the choice of the model. */
const BESIDE = ["template", "quantization_bit"];

const withoutSecrets = ({ from, texts }: Filled): Filled => ({ from, texts: Object.fromEntries(Object.entries(texts).filter(([name]) => !isSecret(name))) });

/** A form filled with settings that were asked for before; the folder is that run's own. */
function filled({ output_dir: _, ...settings }: Settings): Filled {
  const from = [settings["adapter_name_or_path"]].flat().at(-1) ?? settings["model_name_or_path"] ?? "";
  return { from: toText(from), texts: textsOf(settings) };
}

export function EvaluatePage() {
  const { query } = useRoute();
  const schema = useResource<Schema>("eval", (signal) => get("schema", { verb: "eval" }, signal));
  const about = useResource<About>("about", (signal) => get("about", {}, signal));
  const [form, setForm] = useKept<Filled>("evaluate", NOTHING, withoutSecrets);
  const [run, again] = [query.get("run"), query.get("again")];
  const before = useResource<RunDetail>(again, (signal) => get(`runs/${segment(again!)}`, {}, signal));
  useEffect(() => {
    const next = run ? { ...form, from: run } : before.data ? filled(before.data.asked) : null;
    if (!next) return;
    setForm(next);
    go(href("evaluate"));
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [run, before.data]);
  const fields = useMemo(() => (schema.data ? fieldsFor("eval", fieldsOf(schema.data)) : null), [schema.data]);
  return (
    <Page title={t("evaluate.title")} lead={t("evaluate.lead")}>
      {schema.error && <Failure error={schema.error} retry={schema.reload} />}
      {!fields && !schema.error && <div className="columns"><div className="card"><Waiting rows={8} /></div><div className="card"><Waiting rows={4} /></div></div>}
      {fields && <EvaluateForm fields={fields} about={about.data} form={form} setForm={setForm} />}
      <Earlier kind="eval" title={t("evaluate.before")} />
    </Page>
  );
}

function EvaluateForm({ fields, about, form, setForm }: { fields: FieldSpec[]; about: About | undefined; form: Filled; setForm: (form: Filled) => void }) {
  const { from, texts } = form;
  const { error: unknown, known, settled } = useSource("evaluations/source", from);
  const { fields: shown, settings, held } = useMemo(() => asked(fields, texts, known), [fields, texts, known]);
  const check = useCheck("eval", settings);
  const [devices, setDevices] = useState<string[] | null>(null);
  const [open, setOpen] = useState<"command" | "import" | null>(null);
  const change = (name: string, text: string) => setForm({ from, texts: { ...texts, [name]: text } });
  const begin = async (trusted: boolean) => go(href("runs", (await post<{ id: string }>("evaluations", { settings, devices, trusted })).id));
  const { busy, error, start, asked: question } = useStart(begin);
  const problems = check?.problems ?? [];
  const touched = problems.filter((problem) => texts[problem.field ?? ""] !== undefined);
  const wrong = known ? problems.filter((problem) => problem.level === "error") : [];
  const dataless = wrong.some((problem) => needsData(problem.field, settings));
  const text = (name: string) => texts[name] ?? toText(shown.find((field) => field.name === name)?.fallback);
  const data = <DataChoice key="eval_dataset" name="eval_dataset" text={text("eval_dataset")} folder={text("dataset_dir")} problems={touched.filter((one) => one.field === "eval_dataset")} onChange={(next) => change("eval_dataset", next)} help={held ? heldBack(settings) : undefined} />;
  return (
    <div className="columns">
      <div className="stack">
        <section className="card"><div className="fields">
          <SourceField label={t("evaluate.from")} help={t("export.from.help")} value={from} onChange={(next) => setForm({ from: next, texts })} />
          {shown.filter((field) => BESIDE.includes(field.name)).map((field) => <Field key={field.name} field={field} text={texts[field.name]} problems={touched.filter((one) => one.field === field.name)} onChange={(next) => change(field.name, next)} />)}
        </div></section>
        <SettingsForm fields={shown.filter((field) => !BESIDE.includes(field.name))} groups={EVALUATE} texts={texts} problems={touched} onChange={change} special={{ eval_dataset: data }} />
      </div>
      <aside className="side stack" aria-label={t("train.side")}>
        <section className="card stack">
          <Button kind="primary" icon="evaluate" busy={busy} disabled={!known || !settled || (check !== null && !check.ok)} onClick={() => void start()}>{t("evaluate.start")}</Button>
          {error && <Failure error={error} />}
          {unknown && <Failure error={unknown} />}
          {!from.trim() && <p className="small muted">{t("train.need.model")}</p>}
          {dataless && <p className="small muted">{t("train.need.data")}</p>}
          {wrong.filter((problem) => !needsData(problem.field, settings)).map((problem, n) => <p key={n} className="small">{problem.field && <strong>{labelOf(problem.field)}: </strong>}<Said text={problem.message} /> <span className="muted"><Said text={problem.hint} /></span></p>)}
          {known && settled && check?.ok && <p className="small good">{t("train.ok")}</p>}
          {check?.notes.map((note) => <p key={note} className="small muted">{note}</p>)}
          <DeviceChoice about={about} chosen={devices} onChange={setDevices} />
        </section>
        <section className="card stack tight">
          <Button icon="copy" onClick={() => setOpen("command")}>{t("train.command")}</Button>
          <Button icon="file" onClick={() => setOpen("import")}>{t("train.import")}</Button>
          {(from || Object.keys(texts).length > 0) && <Button kind="quiet" onClick={() => setForm(NOTHING)}>{t("train.clear")}</Button>}
        </section>
      </aside>
      {open === "command" && <CommandDialog verb="eval" settings={settings} onClose={() => setOpen(null)} />}
      {open === "import" && <ImportDialog verb="eval" onTake={(taken) => setForm(filled(taken))} onClose={() => setOpen(null)} />}
      {question}
    </div>
  );
}

const needsData = (field: string | null, settings: Settings) => field === "eval_dataset" && ![settings["eval_dataset"] ?? []].flat().length;

/** In words, which rows are asked where no data set is named. */
function heldBack(settings: Settings): string {
  const size = Number(settings["val_size"]);
  const values = { data: toText(settings["dataset"]), n: size };
  return size < 1 ? t("evaluate.held.share", { ...values, share: percent(size, 1) }) : t("evaluate.held.rows", values);
}
