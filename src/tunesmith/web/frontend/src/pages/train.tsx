import { useEffect, useMemo, useState } from "react";
import { get, post, segment } from "../api/client";
import type { About, RunDetail, Schema, Settings, Warned } from "../api/types";
import { useKept, useResource, useRested, type Resource } from "../api/use";
import { useCheck } from "../form/check";
import { Obstacles } from "./obstacles";
import { SettingsForm } from "../form/form";
import { fieldsFor, TRAIN } from "../form/layout";
import { fieldsOf, isSecret, settingsOf, textsOf, type FieldSpec, type Texts } from "../form/schema";
import { labelOf } from "../form/field";
import { t } from "../i18n";
import { go, href, useRoute } from "../router";
import { Confirm } from "../ui/dialog";
import { Button, Failure, Note, Page, Waiting } from "../ui/parts";
import { Said } from "../ui/said";
import { CommandDialog, ImportDialog, LoadDialog, SaveDialog } from "./arguments";
import { DataChoice } from "./data-choice";
import { DeviceChoice } from "./devices";
import { Memory, useEstimate } from "./memory";
import { useModels } from "./models";
import { useStart } from "./trust";

const NOTHING: Texts = {};
/** What belongs to one run only, and is not carried over to the next. */
const OWN = new Set(["output_dir", "resume_from_checkpoint", "overwrite_output_dir", "run_name"]);

const withoutSecrets = (texts: Texts): Texts => Object.fromEntries(Object.entries(texts).filter(([name]) => !isSecret(name)));

export function TrainPage() {
  const route = useRoute();
  const schema = useResource<Schema>("train", (signal) => get("schema", { verb: "train" }, signal));
  const about = useResource<About>("about", (signal) => get("about", {}, signal));
  const from = route.query.get("run");
  const before = useResource<RunDetail>(from, (signal) => get(`runs/${segment(from!)}`, {}, signal));
  const [texts, setTexts] = useKept<Texts>("train", NOTHING, withoutSecrets);
  const [dataset, model] = [route.query.get("dataset"), route.query.get("model")];
  useEffect(() => {
    if (before.data) {
      setTexts(textsOf(Object.fromEntries(Object.entries(before.data.asked).filter(([name]) => !OWN.has(name)))));
      go(href("train"));
    }
  }, [before.data, setTexts]);
  useEffect(() => {
    if (dataset) {
      setTexts({ ...texts, dataset, ...(model && { model_name_or_path: model }) });
      go(href("train"));
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [dataset]);
  const fields = useMemo(() => (schema.data ? fieldsFor("train", fieldsOf(schema.data)) : null), [schema.data]);
  return (
    <Page title={t("train.title")} lead={t("train.lead")}>
      {schema.error && <Failure error={schema.error} retry={schema.reload} />}
      {!fields && !schema.error && <div className="columns"><div className="card"><Waiting rows={10} /></div><div className="card"><Waiting rows={4} /></div></div>}
      {fields && <TrainForm fields={fields} about={about.data} texts={texts} setTexts={setTexts} />}
    </Page>
  );
}

/** What a look into the data tells before it is trained on; asked anew only where other data is. */
function useDataWarnings(settings: Settings): Resource<Warned> {
  const given = Object.fromEntries(["dataset", "dataset_dir", "hub_name", "placeholders", "stage"].filter((name) => name in settings).map((name) => [name, settings[name]!]));
  const key = useRested(JSON.stringify(given), 500);
  const asked = JSON.parse(key) as Settings;
  const warned = useResource<Warned>(asked["dataset"] ? key : null, (signal) => post("config/data", { settings: asked }, signal));
  return asked["dataset"] && !warned.error ? warned : { ...warned, data: undefined };
}

function TrainForm({ fields, about, texts, setTexts }: { fields: FieldSpec[]; about: About | undefined; texts: Texts; setTexts: (texts: Texts) => void }) {
  const settings = useMemo(() => settingsOf(texts, fields), [texts, fields]);
  const check = useCheck("train", settings);
  const models = useModels();
  const [devices, setDevices] = useState<string[] | null>(null);
  const estimate = useEstimate(settings, devices);
  const warned = useDataWarnings(settings);
  const [open, setOpen] = useState<"command" | "save" | "load" | "import" | null>(null);
  const [sought, setSought] = useState<{ name: string } | null>(null);
  const [doubted, setDoubted] = useState(false);
  const change = (name: string, text: string) => setTexts({ ...texts, [name]: text });
  const leaveOut = (name: string) => setTexts(Object.fromEntries(Object.entries(texts).filter(([one]) => one !== name)));
  const take = (next: Settings) => setTexts(textsOf(next));
  const begin = async (trusted: boolean) => {
    const body = { verb: "train", settings, devices, trusted };
    const { id } = await post<{ id: string }>("runs", body);
    setTexts(Object.fromEntries(Object.entries(texts).filter(([name]) => !OWN.has(name))));
    go(href("runs", id));
  };
  const doubt = estimate.error && estimate.error.status !== 0 ? estimate.error : null;
  const { busy, error, start, asked: question } = useStart(begin);
  const placed = new Set(fields.map((field) => field.name));
  const elsewhere = (check?.problems ?? []).filter((problem) => !problem.field || !placed.has(problem.field));
  const wrong = (check?.problems ?? []).filter((problem) => problem.level === "error");
  const untouched = Object.keys(settings).length === 0;
  const problems = (check?.problems ?? []).filter((problem) => texts[problem.field ?? ""] !== undefined);
  return (
    <div className="columns train">
      <SettingsForm
        fields={fields} groups={TRAIN} texts={texts} problems={problems} onChange={change} sought={sought}
        suggestions={{ model_name_or_path: models.filter((one) => one.kind === "model" || one.kind === "gguf").map((one) => one.path), adapter_name_or_path: models.filter((one) => one.kind !== "model" && one.kind !== "gguf").map((one) => one.path) }}
        special={{ dataset: <DataChoice key="dataset" text={texts["dataset"] ?? ""} folder={texts["dataset_dir"] ?? "data"} problems={problems.filter((one) => one.field === "dataset")} onChange={(text) => change("dataset", text)} /> }}
      />
      <aside className="side stack" aria-label={t("train.side")}>
        <section className="card stack">
          <Button kind="primary" icon="play" busy={busy} disabled={check !== null && !check.ok} onClick={() => (doubt ? setDoubted(true) : void start())}>{t("train.start")}</Button>
          {error && <Failure error={error} />}
          <Obstacles wrong={wrong} settings={settings} placed={placed} quiet={untouched} onShow={(name) => setSought({ name })} onLeaveOut={leaveOut} onOffer={(offer) => setTexts({ ...texts, ...textsOf(offer) })} />
          {check?.ok && (estimate.error ? <p className="small warn"><Said text={estimate.error.message} /> <span className="muted"><Said text={estimate.error.hint} /></span></p> : <p className="small good">{t("train.ok")}</p>)}
          {elsewhere.filter((problem) => problem.level !== "error").map((problem, n) => <p key={n} className="small muted"><Said text={problem.message} /></p>)}
          {warned.data?.warnings.map((warning) => <Note key={warning} tone="warn" action={<Button small onClick={() => setSought({ name: "placeholders" })}>{labelOf("placeholders")}</Button>}><p className="small"><Said text={warning} /></p></Note>)}
          {check?.notes.map((note) => <p key={note} className="small muted"><Said text={note} /></p>)}
          <DeviceChoice about={about} chosen={devices} onChange={setDevices} />
        </section>
        <Memory estimate={estimate} told={check?.ok === true || wrong.some((problem) => problem.message === estimate.error?.message)} />
        <section className="card stack tight">
          <Button icon="copy" onClick={() => setOpen("command")}>{t("train.command")}</Button>
          <div className="stack tight">
            <Button onClick={() => setOpen("save")}>{t("train.save")}</Button>
            <Button onClick={() => setOpen("load")}>{t("train.load")}</Button>
          </div>
          <Button icon="file" onClick={() => setOpen("import")}>{t("train.import")}</Button>
          {!untouched && <Button kind="quiet" onClick={() => setTexts(NOTHING)}>{t("train.clear")}</Button>}
        </section>
      </aside>
      {open === "command" && <CommandDialog verb="train" settings={settings} onClose={() => setOpen(null)} />}
      {open === "save" && <SaveDialog settings={settings} onClose={() => setOpen(null)} />}
      {open === "load" && <LoadDialog onTake={(next) => { take(next); setOpen(null); }} onClose={() => setOpen(null)} />}
      {open === "import" && <ImportDialog verb="train" onTake={take} keeps={{ left: texts, onLeaveOut: leaveOut }} onClose={() => setOpen(null)} />}
      {doubted && doubt && <Confirm onClose={() => setDoubted(false)} question={{ title: t("train.doubt"), text: `${doubt.message} ${doubt.hint}`, action: t("train.anyway"), run: start }} />}
      {question}
    </div>
  );
}

