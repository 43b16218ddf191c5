import { useEffect, useMemo } from "react";
import { post } from "../api/client";
import type { Look, Settings } from "../api/types";
import { useKept, useResource, useRested } from "../api/use";
import type { Texts } from "../form/schema";
import { t } from "../i18n";
import { href, useRoute } from "../router";
import { Labelled, Page, Tabs } from "../ui/parts";
import { Check } from "./dataset-check";
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
  const { cutoff_len: _, ...uncut } = settings; // lengths are those before any cut
  const reading = tab === "lengths" ? uncut : {};
  useUsualModel(view, setView);
  const look = useResource<Look>(name ? `${name}?${JSON.stringify(reading)}` : null, (signal) => post(`datasets/${encodeURIComponent(name)}/look`, { settings: reading }, signal));
  return (
    <Page title={name} crumb={{ href: href("data"), text: t("nav.data") }} lead={look.data && !look.data.problem ? t("dataset.lead", { rows: look.data.rows, format: look.data.format ?? "?" }) : "\u00a0"}
      actions={<a className="button primary" href={href("train", "", { dataset: name, ...((tab === "mask" || tab === "lengths") && view.model_name_or_path && { model: view.model_name_or_path }) })}>{t("data.train")}</a>}>
      <Tabs label={t("dataset.views")} current={tab} tabs={TABS.map((one) => [one, t(`dataset.${one}`), href("dataset", name, { tab: one })])} />
      {tab === "check" && <Check key={name} name={name} look={look} />}
      {tab === "rows" && <RowsView name={name} />}
      {(tab === "mask" || tab === "lengths") && <ViewBar view={view} setView={setView} />}
      {tab === "mask" && <MaskView name={name} settings={settings} />}
      {tab === "lengths" && <LengthsView name={name} settings={settings} look={look} named={Boolean(settings["model_name_or_path"])} cutoff={Number(view.cutoff_len) || 2048} setCutoff={(cutoff) => setView({ ...view, cutoff_len: String(cutoff) })} />}
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
