import { useState, type ReactNode } from "react";
import { get, post } from "../api/client";
import type { Speaker, Style } from "../api/types";
import { useResource, useRested } from "../api/use";
import type { Texts } from "../form/schema";
import { number, t, useLanguage } from "../i18n";
import { Button } from "../ui/parts";
import { Said } from "../ui/said";
import { listed, toggled } from "./authoring-parts";

const FEW = 16;
interface Chip { name: string; note?: string; title?: string }

/** Words to choose by a click; they stand in the box above, where others may be written. */
export function Chips({ label, chips, chosen, onToggle }: { label: string; chips: Chip[]; chosen: string[]; onToggle: (name: string) => void }) {
  const [all, setAll] = useState(false);
  const shown = all ? chips : chips.slice(0, FEW);
  return (
    <div className="row chips" role="group" aria-label={label}>
      {shown.map(({ name, note, title }) => <button key={name} type="button" className="tag big" title={title} aria-pressed={chosen.includes(name)} onClick={() => onToggle(name)}>{name}{note && <span className="muted small">{note}</span>}</button>)}
      {chips.length > shown.length && <Button small kind="quiet" onClick={() => setAll(true)}>{t("chips.all", { n: chips.length })}</Button>}
    </div>
  );
}

/** The field with what can be chosen for it below. */
export const WithChoices = ({ field, children }: { field: ReactNode; children: ReactNode }) => <div className="wide stack tight">{field}{children}</div>;

/** Who speaks in the chosen texts, those who speak most first. */
export function Speakers({ sources, texts, onChange }: { sources: string[]; texts: Texts; onChange: (text: string) => void }) {
  const options = texts["layout"] ? { layout: texts["layout"] } : {};
  const key = useRested(sources.length ? JSON.stringify({ sources, options }) : "", 600);
  const found = useResource<{ speakers: Speaker[] }>(key || null, (signal) => post("authoring/speakers", JSON.parse(key), signal));
  if (!sources.length || !key) return null;
  if (found.error) return <p className="small muted"><Said text={`${found.error.message} ${found.error.hint}`} /></p>;
  if (!found.data || found.stale) return <p className="small muted" role="status">{t("speakers.looking")}</p>;
  const chips = found.data.speakers.map(({ name, lines }) => ({ name, note: number(lines) }));
  return <><p className="small muted">{t("speakers.title")}</p><Chips label={t("speakers.title")} chips={chips} chosen={listed(texts["role"])} onToggle={(name) => onChange(toggled(texts["role"], name))} /></>;
}

/** The kinds of questions that there are, in the language they are asked in or else the page's. */
export function Styles({ texts, onChange }: { texts: Texts; onChange: (text: string) => void }) {
  const page = useLanguage();
  const asked = texts["language"];
  const language = asked && asked !== "auto" ? asked : page;
  const prompts = useRested(texts["prompts"]?.trim() ?? "", 600);
  const found = useResource<Style[]>(`${language}#${prompts}`, (signal) => get("authoring/styles", { language, prompts }, signal));
  if (!found.data || found.error) return null;
  return <Chips label={t("styles.title")} chips={found.data.map(({ name, asks }) => ({ name, title: asks }))} chosen={listed(texts["styles"])} onToggle={(name) => onChange(toggled(texts["styles"], name))} />;
}
