import { useEffect, useMemo, useState } from "react";
import { post, put } from "../api/client";
import type { Look, Settings } from "../api/types";
import { useKept, useResource, useRested, type Resource } from "../api/use";
import type { Texts } from "../form/schema";
import { bytes, number, t } from "../i18n";
import { href, useRoute } from "../router";
import { Button, Failure, Labelled, Note, Page, Tabs, Waiting } from "../ui/parts";
import { attempt } from "../ui/toast";
import { LengthsView } from "./dataset-lengths";
import { MaskView } from "./dataset-mask";
import { RowsView } from "./dataset-rows";
import { useModels } from "./models";

const TABS = ["check", "rows", "mask", "lengths"] as const;
/** How rows are looked at: what a run with these settings would make of them. */
export interface View { model_name_or_path: string; template: string; cutoff_len: string; stage: string }
const START: View = { model_name_or_path: "", template: "", cutoff_len: "2048", stage: "sft" };

export function DatasetPage() {
  const route = useRoute();
  const name = route.id;
  const tab = (route.query.get("tab") as (typeof TABS)[number] | null) ?? "check";
  const [view, setView] = useKept<View>("view", START);
  const rested = useRested(view, 400);
  const settings = useMemo<Settings>(() => ({ ...rested, cutoff_len: Number(rested.cutoff_len) || 2048 }), [rested]);
  const reading = tab === "check" ? {} : settings;
  useUsualModel(view, setView);
  const look = useResource<Look>(tab === "mask" ? null : `${name}?${JSON.stringify(reading)}`, (signal) => post(`datasets/${encodeURIComponent(name)}/look`, { settings: reading }, signal));
  return (
    <Page title={name} crumb={{ href: href("data"), text: t("nav.data") }} lead={look.data && !look.data.problem ? t("dataset.lead", { rows: look.data.rows, format: look.data.format ?? "?" }) : " "}
      actions={<a className="button primary" href={href("train", "", { dataset: name })}>{t("data.train")}</a>}>
      <Tabs label={t("dataset.views")} current={tab} tabs={TABS.map((one) => [one, t(`dataset.${one}`), href("dataset", name, { tab: one })])} />
      {tab === "check" && <Check name={name} look={look} />}
      {tab === "rows" && <RowsView name={name} />}
      {(tab === "mask" || tab === "lengths") && <ViewBar view={view} setView={setView} />}
      {tab === "mask" && <MaskView name={name} settings={settings} />}
      {tab === "lengths" && <LengthsView look={look} named={Boolean(settings["model_name_or_path"])} cutoff={Number(settings["cutoff_len"])} setCutoff={(cutoff) => setView({ ...view, cutoff_len: String(cutoff) })} />}
    </Page>
  );
}

/** Where no model was chosen yet: the one on the Train form, else that of the newest run, else the only one there is. */
function useUsualModel(view: View, setView: (view: View) => void) {
  const models = useModels();
  const [form] = useKept<Texts>("train", {});
  const whole = models.filter((one) => one.kind === "model" || one.kind === "gguf");
  const usual = form["model_name_or_path"] || models.find((one) => one.base)?.base || (whole.length === 1 ? whole[0]!.path : "");
  useEffect(() => {
    if (usual && !view.model_name_or_path) setView({ ...view, model_name_or_path: usual });
    // Once: whoever empties the box is left to it.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [usual]);
}

function ViewBar({ view, setView }: { view: View; setView: (view: View) => void }) {
  const models = useModels();
  return (
    <section className="card"><div className="fields view-bar">
      <Labelled label={t("view.model")} help={t("view.model.help")}>{(id) => <>
        <input id={id} list={`${id}-list`} value={view.model_name_or_path} spellCheck={false} onChange={(event) => setView({ ...view, model_name_or_path: event.target.value })} />
        <datalist id={`${id}-list`}>{models.filter((one) => one.kind === "model" || one.kind === "gguf").map((one) => <option key={one.path} value={one.path} />)}</datalist>
      </>}</Labelled>
      <Labelled label={t("view.template")} help={t("view.template.help")}>{(id) => <input id={id} value={view.template} placeholder={t("form.auto")} spellCheck={false} onChange={(event) => setView({ ...view, template: event.target.value })} />}</Labelled>
      <Labelled label={t("view.cutoff")}>{(id) => <input id={id} inputMode="numeric" value={view.cutoff_len} onChange={(event) => setView({ ...view, cutoff_len: event.target.value })} />}</Labelled>
      <Labelled label={t("view.stage")}>{(id) => <select id={id} value={view.stage} onChange={(event) => setView({ ...view, stage: event.target.value })}><option value="sft">sft</option><option value="pt">pt</option></select>}</Labelled>
    </div></section>
  );
}

function Check({ name, look }: { name: string; look: Resource<Look> }) {
  if (look.error) return <Failure error={look.error} retry={look.reload} />;
  const data = look.data;
  if (!data) return <div className="card"><Waiting rows={6} /></div>;
  const fix = (what: string) => attempt(async () => {
    await post(`datasets/${encodeURIComponent(name)}/fix`, { fix: what, revision: data.revision });
    look.reload();
  }, t("dataset.fixed"));
  const refused = data.rows - data.usable;
  return (
    <>
      {data.problem && <Failure error={data.problem} />}
      {!data.problem && refused === 0 && <Note tone="good"><p>{t("dataset.allgood", { n: data.usable })}</p></Note>}
      {refused > 0 && <Note tone="warn" action={<Button small onClick={() => void fix("refused")}>{t("dataset.fix.refused")}</Button>}><p>{t("dataset.refused", { n: refused })}</p><p>{t("dataset.refused.text")}</p></Note>}
      {data.duplicates > 0 && <Note tone="info" action={<Button small onClick={() => void fix("duplicates")}>{t("dataset.fix.duplicates")}</Button>}><p>{t("dataset.duplicates", { n: data.duplicates })}</p></Note>}
      {data.near_duplicates > 0 && <Note><p>{t("dataset.near", { n: data.near_duplicates })}</p></Note>}
      {data.contradictions > 0 && <Note tone="warn"><p>{t("dataset.contradictions", { n: data.contradictions })}</p></Note>}
      {data.notes.map((note) => <Note key={note}><p>{note}</p></Note>)}
      {Object.keys(data.placeholders).length > 0 && <Note tone="warn"><p>{t("dataset.placeholders", { names: Object.keys(data.placeholders).join(", ") })}</p></Note>}
      <Reading name={name} look={data} done={look.reload} />
      {refused > 0 && (
        <section className="card flush">
          <header><h2>{t("dataset.reasons")}</h2></header>
          <div className="scroll"><table className="table">
            <thead><tr><th>{t("dataset.line")}</th><th>{t("dataset.reason")}</th></tr></thead>
            <tbody>{data.refusals.slice(0, 100).map((row) => <tr key={`${row.file}${row.line}`}><td className="nowrap"><span className="muted small">{row.file.split("/").at(-1)}:</span>{row.line}</td><td>{row.reason}</td></tr>)}</tbody>
          </table></div>
        </section>
      )}
      <section className="card">
        <header><h2>{t("dataset.files")}</h2></header>
        <dl className="pairs">{data.files.map((file) => <div key={file.path}><dt className="mono">{file.path}</dt><dd>{bytes(file.bytes)} · {file.encoding}</dd></div>)}</dl>
      </section>
    </>
  );
}

const ROLES: Record<string, string[]> = {
  alpaca: ["prompt", "query", "response", "system", "history", "chosen", "rejected", "tools"],
  sharegpt: ["messages", "system", "tools", "chosen", "rejected"],
  openai: ["messages", "tools", "chosen", "rejected"],
  text: ["prompt"],
};

/** Which format a data set has and which column is what, to be set right with a choice. */
function Reading({ name, look, done }: { name: string; look: Look; done: () => void }) {
  const [format, setFormat] = useState(look.format ?? "alpaca");
  const [columns, setColumns] = useState<Record<string, string | null>>(look.columns);
  const named = (all: Record<string, string | null>) => JSON.stringify(Object.entries(all).filter(([, column]) => column && look.found.includes(column)).sort());
  const changed = format !== look.format || named(columns) !== named(look.columns);
  const there = (role: string) => (columns[role] && look.found.includes(columns[role]) ? columns[role] : "");
  const roles = [...new Set([...(ROLES[format] ?? []), ...Object.keys(columns).filter(there)])];
  const save = () => attempt(async () => {
    const given = Object.fromEntries(Object.entries(columns).filter(([role]) => there(role) && roles.includes(role)));
    await put(`datasets/${encodeURIComponent(name)}/mapping`, { formatting: format, columns: given, tags: look.tags });
    done();
  }, t("dataset.mapped"));
  return (
    <section className="card">
      <header><h2>{t("dataset.mapping")}</h2>{changed && <Button kind="primary" small onClick={() => void save()}>{t("save")}</Button>}</header>
      <div className="fields">
        <Labelled label={t("dataset.format")} help={t("dataset.format.help")}>{(id) => <select id={id} value={format} onChange={(event) => setFormat(event.target.value)}>{[...new Set([...Object.keys(ROLES), format])].map((one) => <option key={one}>{one}</option>)}</select>}</Labelled>
        {roles.map((role) => (
          <Labelled key={role} label={t("dataset.role", { role })}>{(id) => (
            <select id={id} value={there(role)} onChange={(event) => setColumns({ ...columns, [role]: event.target.value || null })}>
              <option value="">{t("form.none")}</option>
              {look.found.map((column) => <option key={column}>{column}</option>)}
            </select>
          )}</Labelled>
        ))}
      </div>
      <p className="muted small" style={{ marginTop: "var(--s4)" }}>{t("dataset.counts", { usable: number(look.usable), rows: number(look.rows) })}</p>
    </section>
  );
}
