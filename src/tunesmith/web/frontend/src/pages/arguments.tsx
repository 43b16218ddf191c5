import { useRef, useState } from "react";
import { get, post, put, remove } from "../api/client";
import type { Command, Imported, Settings } from "../api/types";
import { told, useResource } from "../api/use";
import type { ApiError } from "../api/client";
import { labelOf } from "../form/field";
import { toText, type Texts } from "../form/schema";
import { t } from "../i18n";
import { Confirm, Dialog, type Question } from "../ui/dialog";
import { Button, Code, Empty, Failure, Labelled, Note, Waiting } from "../ui/parts";
import { Said } from "../ui/said";
import { attempt, say } from "../ui/toast";

export function CommandDialog({ verb, settings, onClose }: { verb: string; settings: Settings; onClose: () => void }) {
  const command = useResource<Command>("command", (signal) => post("config/command", { verb, settings }, signal));
  return (
    <Dialog title={t("train.command")} onClose={onClose}>
      {command.error && <Failure error={command.error} />}
      {!command.data && !command.error && <Waiting rows={5} />}
      {command.data && <div className="stack"><Code label={t("command.line")} text={command.data.cli} /><Code label={t("command.file")} text={command.data.yaml} /><p className="muted small">{t("command.note")}</p></div>}
    </Dialog>
  );
}

/** What this tab loaded or saved, by name: so that nobody's later work is replaced unseen. */
const known = new Map<string, string>();
/** The name that was loaded or saved last, which is likely to be saved under again. */
let last = "";
type Saved = { settings: Settings; revision: string };

export function SaveDialog({ settings, onClose }: { settings: Settings; onClose: () => void }) {
  const names = useResource<string[]>("arguments", (signal) => get("arguments", {}, signal));
  const [name, setName] = useState(last);
  const [clash, setClash] = useState<ApiError | null>(null);
  const taken = names.data?.includes(name.trim());
  const save = async () => {
    const title = name.trim();
    const seen = clash ? null : (known.get(title) ?? (taken ? null : ""));
    try {
      known.set(title, (await put<Saved>(`arguments/${encodeURIComponent(title)}`, { settings, revision: seen })).revision);
      last = title;
      say(t("arguments.saved", { name: title }));
      onClose();
    } catch (reason) {
      setClash(told(reason));
    }
  };
  return (
    <Dialog narrow title={t("train.save")} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" disabled={!name.trim()} onClick={() => void save()}>{clash?.field === "revision" ? t("arguments.anyway") : taken ? t("arguments.replace") : t("save")}</Button></>}>
      {clash && <Failure error={clash} />}
      <Labelled label={t("arguments.name")} help={taken ? t("arguments.taken") : t("arguments.where")}>{(id) => <input id={id} value={name} autoFocus onChange={(event) => { setName(event.target.value); setClash(null); }} />}</Labelled>
    </Dialog>
  );
}

export function LoadDialog({ onTake, onClose }: { onTake: (settings: Settings) => void; onClose: () => void }) {
  const names = useResource<string[]>("arguments", (signal) => get("arguments", {}, signal));
  const load = (name: string) => attempt(async () => {
    const saved = await get<Saved>(`arguments/${encodeURIComponent(name)}`);
    known.set(name, saved.revision);
    last = name;
    onTake(saved.settings);
  }, t("arguments.loaded", { name }));
  const [question, setQuestion] = useState<Question | null>(null);
  const forget = async (name: string) => { await remove(`arguments/${encodeURIComponent(name)}`); names.reload(); };
  return (
    <>
      <Dialog narrow title={t("train.load")} onClose={onClose}>
        {names.error && <Failure error={names.error} />}
        {!names.data && !names.error && <Waiting rows={3} />}
        {names.data?.length === 0 && <Empty icon="file" title={t("arguments.none")}>{t("arguments.none.text")}</Empty>}
        <ul className="list">
          {names.data?.map((name) => (
            <li key={name} className="row" style={{ padding: "var(--s2) 0" }}>
              <span className="grow">{name}</span>
              <Button small onClick={() => void load(name)}>{t("arguments.take")}</Button>
              <Button small kind="quiet" icon="trash" title={t("arguments.delete", { name })} onClick={() => setQuestion({
                title: t("arguments.forget.title", { name }), text: t("arguments.forget.text"), action: t("run.delete"), danger: true, run: () => forget(name),
              })} />
            </li>
          ))}
        </ul>
      </Dialog>
      {question && <Confirm question={question} onClose={() => setQuestion(null)} />}
    </>
  );
}

interface ImportProps {
  verb: "train" | "eval"; onTake: (settings: Settings) => void; onClose: () => void;
  /** For a form that keeps what is refused until somebody leaves it out. left: what stands in it now. */
  keeps?: { left: Texts; onLeaveOut: (name: string) => void };
}

export function ImportDialog({ verb, onTake, keeps, onClose }: ImportProps) {
  const [text, setText] = useState("");
  const [name, setName] = useState("config.yaml");
  const [chosen, setChosen] = useState("");
  const [error, setError] = useState<ApiError | null>(null);
  const [done, setDone] = useState<Imported | null>(null);
  const picker = useRef<HTMLInputElement>(null);
  const read = async () => {
    setError(null);
    try {
      const imported = await post<Imported>("config/import", { text, name, verb });
      onTake(imported.settings);
      setDone(imported);
    } catch (reason) {
      setError(told(reason));
    }
  };
  if (done) return <ImportedDialog done={done} keeps={keeps} onClose={onClose} />;
  return (
    <Dialog title={t("train.import")} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" disabled={!text.trim()} onClick={() => void read()}>{t("import.action")}</Button></>}>
      <div className="stack">
        <p className="muted">{t("import.text")}</p>
        <div className="row">
          <Button icon="file" onClick={() => picker.current?.click()}>{t("import.file")}</Button>
          {chosen && <span className="muted">{chosen}</span>}
          <input ref={picker} type="file" accept=".yaml,.yml,.json" className="visually-hidden" tabIndex={-1} aria-label={t("import.file")} onChange={(event) => {
            const file = event.target.files?.[0];
            if (file) { setName(file.name); setChosen(file.name); void file.text().then(setText); }
          }} />
        </div>
        <Labelled label={t("import.paste")}>{(id) => <textarea id={id} className="mono" rows={10} value={text} onChange={(event) => setText(event.target.value)} spellCheck={false} />}</Labelled>
        {error && <Failure error={error} />}
      </div>
    </Dialog>
  );
}

/** What became of an imported file; it stays until somebody has read it. */
function ImportedDialog({ done, keeps, onClose }: { done: Imported; keeps: ImportProps["keeps"]; onClose: () => void }) {
  const refused = done.refused.filter((problem) => !keeps || (problem.field !== null && problem.field in keeps.left));
  const without = new Set(done.refused.map((problem) => problem.field));
  const taken = Object.entries(done.settings).filter(([key]) => !without.has(key));
  return (
    <Dialog title={t("train.import")} onClose={onClose} footer={<Button kind="primary" onClick={onClose}>{t("close")}</Button>}>
      <div className="stack">
        {refused.length > 0 && (
          <Note tone="warn">
            <p><strong>{t("import.refused")}</strong> {keeps && t("import.refused.text")}</p>
            <ul className="stack tight" style={{ marginTop: "var(--s2)" }}>
              {refused.map((problem) => <li key={problem.field} className="stack tight"><span><Said text={problem.message} /></span>{keeps && <span><Button small onClick={() => keeps.onLeaveOut(problem.field!)}>{t("train.leave")}</Button></span>}</li>)}
            </ul>
          </Note>
        )}
        {done.notes.length > 0 && <section><h3>{t("import.notes")}</h3><ul className="points">{done.notes.map((note) => <li key={note}><Said text={note} /></li>)}</ul></section>}
        <section><h3>{t("import.done", { n: taken.length })}</h3><ul className="points">{taken.map(([key, value]) => <li key={key}>{labelOf(key)} <span className="muted"><code>{key}: {toText(value)}</code></span></li>)}</ul></section>
      </div>
    </Dialog>
  );
}
