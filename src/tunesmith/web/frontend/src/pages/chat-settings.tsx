import type { Json, Problem, Settings } from "../api/types";
import type { Tools } from "../chat/turns";
import { t } from "../i18n";
import { Labelled } from "../ui/parts";
import { Said } from "../ui/said";

export interface Asking { system: string; temperature: string; top_p: string; top_k: string; max_new_tokens: string; seed: string; thinking: boolean; tools: string }
export const ASKING: Asking = { system: "", temperature: "0.7", top_p: "0.9", top_k: "50", max_new_tokens: "512", seed: "", thinking: true, tools: "" };
const NUMBERS = ["temperature", "top_p", "top_k", "max_new_tokens"] as const;
export const CHECKED = [...NUMBERS, "seed"] as const;

/** What is no number stays text, so that the server says what is wrong with it. */
const numeric = (text: string): Json => (text.trim() === "" ? null : Number.isFinite(Number(text)) ? Number(text) : text);
const given = (settings: Settings): Settings => Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));

export const settingsOf = (asking: Asking): Settings => given({ ...Object.fromEntries(NUMBERS.map((name) => [name, numeric(asking[name])])), enable_thinking: asking.thinking });
/** Below 0: another each time, as where none is given. */
export const seedOf = (asking: Asking): number | null => (asking.seed.trim() === "" || Number(asking.seed) < 0 ? null : Number(asking.seed));
export const checkedOf = (asking: Asking): Settings => given({ ...settingsOf(asking), seed: Number(asking.seed) < 0 ? null : numeric(asking.seed) });

/** A problem with the box's own name in it, as the page calls it. */
export function wordsOf({ field, message }: Pick<Problem, "field" | "message">): string {
  if (!field) return message;
  const label = t(`chat.${field as (typeof CHECKED)[number]}`);
  return message.includes(field) ? message.replace(field, label) : `${label}: ${message}`;
}

/** How it is asked; what is wrong stands at its box. */
export function ChatSettings({ asking, setAsking, tools, problems }: { asking: Asking; setAsking: (asking: Asking) => void; tools: Tools; problems: Problem[] }) {
  const box = (name: (typeof CHECKED)[number], help?: string) => {
    const wrong = problems.find((problem) => problem.field === name);
    return (
      <Labelled key={name} label={t(`chat.${name}`)} help={wrong ? <span className="bad"><Said text={wordsOf(wrong)} /></span> : help}>
        {(id) => <input id={id} inputMode={name === "seed" ? "numeric" : "decimal"} aria-invalid={wrong ? true : undefined} value={asking[name]} placeholder={name === "seed" ? t("chat.random") : undefined} onChange={(event) => setAsking({ ...asking, [name]: event.target.value })} />}
      </Labelled>
    );
  };
  const toolsHelp = tools.problem ? <span className="bad">{t("chat.tools.wrong", { why: tools.problem })}</span> : tools.names.length ? tools.names.join(", ") : t("chat.tools.help");
  return (
    <details className="card" open>
      <summary><h2>{t("chat.settings")}</h2></summary>
      <div className="stack" style={{ marginTop: "var(--s4)", gap: "var(--s3)" }}>
        <Labelled label={t("chat.system")}>{(id) => <textarea id={id} rows={3} value={asking.system} onChange={(event) => setAsking({ ...asking, system: event.target.value })} />}</Labelled>
        <div className="halves" style={{ gap: "var(--s3)", gridTemplateColumns: "1fr 1fr" }}>{NUMBERS.map((name) => box(name))}</div>
        {box("seed", t("chat.seed.help"))}
        <label className="row"><input type="checkbox" checked={asking.thinking} onChange={(event) => setAsking({ ...asking, thinking: event.target.checked })} />{t("chat.thinking")}</label>
        <Labelled label={t("chat.tools")} help={toolsHelp}>{(id) => <textarea id={id} className="mono" rows={3} spellCheck={false} aria-invalid={tools.problem ? true : undefined} value={asking.tools} onChange={(event) => setAsking({ ...asking, tools: event.target.value })} />}</Labelled>
      </div>
    </details>
  );
}
