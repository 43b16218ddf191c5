import { useState } from "react";
import { post } from "../api/client";
import type { Remedy, RunDetail, Settings } from "../api/types";
import { labelOf } from "../form/field";
import { isSecret, toText } from "../form/schema";
import { bytes, fill, named, t } from "../i18n";
import { go, href } from "../router";
import { Dialog } from "../ui/dialog";
import { Button, Labelled } from "../ui/parts";
import { Said } from "../ui/said";
import { attempt } from "../ui/toast";

const wordOf = (remedy: Remedy) => fill(named("remedy", remedy.what), remedy.names);

/** Settings that would have let a failed run go on; some need a word from the person first. */
export function Remedies({ detail }: { detail: RunDetail }) {
  const [asking, setAsking] = useState<Remedy | null>(null);
  const { remedies, room } = detail;
  if (!remedies.length && !room) return null;
  return (
    <section className="card stack tight" aria-label={t("remedy.title")}>
      <h2>{t("remedy.title")}</h2>
      {room && <p>{t("remedy.free", { size: bytes(room.free) })}</p>}
      {room && room.taken.length > 0 && (
        <>
          <p className="muted">{t("remedy.taken")}</p>
          <ul className="stack tight">
            {room.taken.map((one) => <li key={one.run}><a href={href("runs", one.run, { tab: "files" })}>{one.name}</a> <span className="muted">{t("remedy.checkpoints", { n: one.checkpoints, size: bytes(one.bytes) })}</span></li>)}
          </ul>
        </>
      )}
      <div className="row">
        {remedies.filter((remedy) => !remedy.needs).map((remedy) => (
          <Button key={remedy.what} icon="again" title={remedy.asks ? undefined : Object.entries(remedy.settings).map(([key, value]) => `${key}: ${toText(value) || t("form.none")}`).join("\n")} onClick={() => (remedy.asks ? setAsking(remedy) : void retry(detail, remedy))}>
            {wordOf(remedy)}{remedy.asks && "…"}
          </Button>
        ))}
      </div>
      {remedies.filter((remedy) => remedy.needs).map((remedy) => <p key={remedy.what} className="muted small">{t("remedy.needs", { what: wordOf(remedy) })} <code>{remedy.needs}</code></p>)}
      {remedies.some((remedy) => remedy.what === "without_ollama") && <p className="muted small"><Said text={t("remedy.ollama.where")} /></p>}
      {asking && <Asking detail={detail} remedy={asking} onClose={() => setAsking(null)} />}
    </section>
  );
}

function Asking({ detail, remedy, onClose }: { detail: RunDetail; remedy: Remedy; onClose: () => void }) {
  const [text, setText] = useState("");
  const secret = isSecret(remedy.asks);
  const begin = async () => {
    if (await retry(detail, { ...remedy, settings: { ...remedy.settings, [remedy.asks]: text.trim() } })) onClose();
  };
  const help = secret ? t("remedy.token.help") : remedy.choices.length ? t("remedy.choose_template.help") : t("remedy.elsewhere.help");
  return (
    <Dialog narrow title={wordOf(remedy)} onClose={onClose} footer={<>
      <Button onClick={onClose}>{t("cancel")}</Button>
      <Button kind="primary" icon="again" disabled={!text.trim()} onClick={() => void begin()}>{t("remedy.begin")}</Button>
    </>}>
      <div className="stack">
        {remedy.link && <p>{t("remedy.terms")} <a href={remedy.link} target="_blank" rel="noreferrer">{remedy.link}</a></p>}
        <Labelled label={labelOf(remedy.asks)} help={help} mono={remedy.asks}>
          {(id) => remedy.choices.length ? (
            <select id={id} value={text} onChange={(event) => setText(event.target.value)}>
              <option value="" disabled>{t("remedy.choose")}</option>
              {remedy.choices.map((choice) => <option key={choice} value={choice}>{choice}</option>)}
            </select>
          ) : <input id={id} type={secret ? "password" : "text"} autoComplete="off" spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />}
        </Labelled>
      </div>
    </Dialog>
  );
}

/** Start the same again with other settings, in a folder of its own: beside the one that was chosen, where one was. */
function retry(detail: RunDetail, remedy: Remedy) {
  const kind = detail.summary.kind;
  const laid: Settings = { ...detail.asked, ...remedy.settings };
  const settings = Object.fromEntries(Object.entries(laid).filter(([, value]) => value !== null));
  const body = kind === "eval" ? { settings, beside: true } : { verb: kind, settings, free_port: remedy.free_port, beside: true };
  return attempt(async () => go(href("runs", (await post<{ id: string }>(kind === "eval" ? "evaluations" : "runs", body)).id)), t("remedy.started"));
}
