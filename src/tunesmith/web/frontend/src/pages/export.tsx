import { useMemo, useState } from "react";
import { post, get } from "../api/client";
import type { Schema, Settings } from "../api/types";
import { useResource, useRested } from "../api/use";
import { useCheck } from "../form/check";
import { Field, labelOf } from "../form/field";
import { SettingsForm } from "../form/form";
import { EXPORT, fieldsFor } from "../form/layout";
import { fieldsOf, settingsOf, textsOf, type FieldSpec, type Texts } from "../form/schema";
import { named, t } from "../i18n";
import { go, href, useRoute } from "../router";
import { Button, Failure, Page, Waiting } from "../ui/parts";
import { Said } from "../ui/said";
import { CommandDialog } from "./arguments";
import { Earlier } from "./earlier";
import { Offer, ProblemText } from "./obstacles";
import { SourceField, useSource } from "./source";
import { useStart } from "./trust";

export function ExportPage() {
  const schema = useResource<Schema>("export", (signal) => get("schema", { verb: "export" }, signal));
  const fields = useMemo(() => (schema.data ? fieldsFor("export", fieldsOf(schema.data)) : null), [schema.data]);
  return (
    <Page title={t("export.title")} lead={t("export.lead")}>
      {schema.error && <Failure error={schema.error} retry={schema.reload} />}
      {!fields && !schema.error && <div className="columns"><div className="card"><Waiting rows={8} /></div><div className="card"><Waiting rows={4} /></div></div>}
      {fields && <ExportForm fields={fields} />}
      <Earlier kind="export" title={t("export.before")} />
    </Page>
  );
}

function ExportForm({ fields }: { fields: FieldSpec[] }) {
  const wanted = useRoute().query.get("run") ?? "";
  const [from, setFrom] = useState(wanted);
  const [texts, setTexts] = useState<Texts>({ export_to: "gguf", export_quant: "q4_k_m" });
  const [command, setCommand] = useState(false);
  const { place, error: unknown, known, settled } = useSource("export/source", from);
  const settings = useMemo<Settings>(() => ({ ...known, ...settingsOf(texts, fields) }), [known, texts, fields]);
  const check = useCheck("export", settings);
  const key = useRested(JSON.stringify(settings), 800);
  const preview = useResource<{ lines: string[] }>(known && check?.ok ? key : null, (signal) => post("export/preview", { settings: JSON.parse(key) }, signal));
  const told = known && !preview.error ? preview.data?.lines : undefined;
  const stale = preview.loading || preview.stale || key !== JSON.stringify(settings);
  const change = (name: string, text: string) => setTexts({ ...texts, [name]: text });
  const problems = (check?.problems ?? []).filter((problem) => texts[problem.field ?? ""] !== undefined);
  const begin = async (trusted: boolean) => go(href("runs", (await post<{ id: string }>("runs", { verb: "export", settings, trusted })).id));
  const { busy, error, start, asked: question } = useStart(begin);
  const find = (name: string) => fields.find((field) => field.name === name);
  const choice = (name: string) => {
    const field = find(name);
    return field && <Choices key={name} field={field} text={texts[name] ?? ""} offered={field.choices.length ? field.choices : OFFERED[name]!} onChange={(text) => change(name, text)} />;
  };
  const gguf = (texts["export_to"] ?? "").split(",").includes("gguf") || Boolean(texts["export_ollama"]);
  return (
    <div className="columns">
      <div className="stack">
        <section className="card"><div className="fields">
          <SourceField label={t("export.from")} help={t("export.from.help")} value={from} onChange={setFrom} />
          {choice("export_to")}
          {gguf && choice("export_quant")}
          {["export_ollama", "export_hub_model_id", "hub_name", "export_dir"].map((name) => {
            const field = find(name);
            return field && <Field key={name} field={field} text={texts[name]} problems={problems.filter((one) => one.field === name)} onChange={(text) => change(name, text)} />;
          })}
        </div></section>
        <SettingsForm fields={fields.filter((field) => !SHOWN.has(field.name))} groups={EXPORT} texts={texts} problems={problems} onChange={change} />
      </div>
      <aside className="side stack" aria-label={t("train.side")}>
        <section className="card stack">
          <Button kind="primary" icon="export" busy={busy} disabled={!known || !settled || (check !== null && !check.ok)} onClick={() => void start()}>{t("export.start")}</Button>
          {error && <Failure error={error} />}
          {place && unknown && <Failure error={unknown} />}
          {known && check?.problems.filter((problem) => problem.level === "error").map((problem, n) => (
            <div key={n} className="stack tight">
              <p className="small">{problem.field && find(problem.field) ? <strong>{labelOf(problem.field)}: </strong> : null}<ProblemText problem={problem} /></p>
              {Object.keys(problem.offer).length > 0 && <div className="row"><Offer offer={problem.offer as Settings} onOffer={(offer) => setTexts({ ...texts, ...textsOf(offer) })} /></div>}
            </div>
          ))}
          {check?.notes.map((note) => <p key={note} className="small muted">{note}</p>)}
          <Button icon="copy" onClick={() => setCommand(true)}>{t("train.command")}</Button>
        </section>
        <section className="card stack tight" aria-label={t("export.preview")}>
          <div className="row apart"><h2>{t("export.preview")}</h2>{told && stale && <span className="small muted">{t("export.preview.counting")}</span>}</div>
          {preview.error && <p className="small muted"><Said text={preview.error.message} /> <Said text={preview.error.hint} /></p>}
          {!told && !preview.error && <p className="small muted">{known ? t("export.preview.counting") : t("export.preview.none")}</p>}
          {told && <pre className={stale ? "small pale" : "small"} aria-busy={stale}>{told.join("\n")}</pre>}
        </section>
      </aside>
      {question}
      {command && <CommandDialog verb="export" settings={settings} onClose={() => setCommand(false)} />}
    </div>
  );
}

const OFFERED: Record<string, string[]> = { export_to: ["gguf", "safetensors", "gguf-adapter"], export_quant: ["q4_k_m", "q5_k_m", "q6_k", "q8_0", "f16", "bf16", "q4_0", "q3_k_m", "q2_k", "f32"] };
const SHOWN = new Set(["export_to", "export_quant", "export_ollama", "export_hub_model_id", "hub_name", "export_dir", "model_name_or_path", "adapter_name_or_path"]);

/** Several of a few words, to tick. */
function Choices({ field, text, offered, onChange }: { field: FieldSpec; text: string; offered: string[]; onChange: (text: string) => void }) {
  const chosen = text.split(",").map((one) => one.trim()).filter(Boolean);
  const toggle = (one: string) => onChange((chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one]).join(","));
  return (
    <fieldset className="field wide" data-field={field.name}>
      <legend className="name" style={{ marginBottom: 5 }}><strong>{labelOf(field.name)}</strong></legend>
      <div className="row">{[...new Set([...offered, ...chosen])].map((one) => <button key={one} type="button" className="tag big" aria-pressed={chosen.includes(one)} onClick={() => toggle(one)}>{one}</button>)}</div>
      <p className="help">{named("export.help", field.name)}</p>
    </fieldset>
  );
}

