import { useState } from "react";
import { get, post, put, remove } from "../api/client";
import type { Command, Imported, Settings } from "../api/types";
import { told, useResource } from "../api/use";
import type { ApiError } from "../api/client";
import { t } from "../i18n";
import { Confirm, Dialog, type Question } from "../ui/dialog";
import { Button, Code, Empty, Failure, Labelled, Waiting } from "../ui/parts";
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
type Saved = { settings: Settings; revision: string };

export function SaveDialog({ settings, onClose }: { settings: Settings; onClose: () => void }) {
  const names = useResource<string[]>("arguments", (signal) => get("arguments", {}, signal));
  const [name, setName] = useState("");
  const [clash, setClash] = useState<ApiError | null>(null);
  const taken = names.data?.includes(name.trim());
  const save = async () => {
    const title = name.trim();
    const seen = clash ? null : (known.get(title) ?? (taken ? null : ""));
    try {
      known.set(title, (await put<Saved>(`arguments/${encodeURIComponent(title)}`, { settings, revision: seen })).revision);
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

export function ImportDialog({ onTake, onClose }: { onTake: (settings: Settings) => void; onClose: () => void }) {
  const [text, setText] = useState("");
  const [name, setName] = useState("config.yaml");
  const [error, setError] = useState<ApiError | null>(null);
  const read = async () => {
    setError(null);
    try {
      const { settings, notes } = await post<Imported>("config/import", { text, name });
      onTake(settings);
      say(t("import.done", { n: Object.keys(settings).length }), "good", notes.join(" "));
    } catch (reason) {
      setError(told(reason));
    }
  };
  return (
    <Dialog title={t("train.import")} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" disabled={!text.trim()} onClick={() => void read()}>{t("import.action")}</Button></>}>
      <div className="stack">
        <p className="muted">{t("import.text")}</p>
        <Labelled label={t("import.file")}>{(id) => <input id={id} type="file" accept=".yaml,.yml,.json" onChange={(event) => {
          const file = event.target.files?.[0];
          if (file) { setName(file.name); void file.text().then(setText); }
        }} />}</Labelled>
        <Labelled label={t("import.paste")}>{(id) => <textarea id={id} className="mono" rows={10} value={text} onChange={(event) => setText(event.target.value)} spellCheck={false} />}</Labelled>
        {error && <Failure error={error} />}
      </div>
    </Dialog>
  );
}
