import { useState } from "react";
import { get, post } from "../api/client";
import type { ChatMessage, Dataset, Json } from "../api/types";
import { useKept, useResource } from "../api/use";
import { named, t } from "../i18n";
import { Dialog } from "../ui/dialog";
import { Button, Labelled, Note } from "../ui/parts";
import { attempt } from "../ui/toast";

/** Puts a conversation up to a good answer into a data set. editable: the answer can be corrected first; cut: it is not whole; tuned: a base model answered beside it. */
export function SendToDataset({ messages, system, tools, editable, cut, tuned, onClose }: { messages: ChatMessage[]; system: string; tools: Json[]; editable?: boolean; cut?: boolean; tuned?: boolean; onClose: () => void }) {
  const sets = useResource<Dataset[]>("datasets", (signal) => get("datasets", {}, signal));
  const [kept, keep] = useKept("chat.dataset", "chats");
  const [name, setName] = useState(kept);
  const fresh = Boolean(name.trim()) && sets.data?.every((set) => set.name !== name.trim());
  const last = messages.at(-1)!;
  const [answer, setAnswer] = useState(last.content);
  const send = async () => {
    keep(name);
    if (await attempt(() => post("chat/send_to_dataset", { name: name.trim(), messages: [...messages.slice(0, -1), { ...last, content: answer }], tools, system: system.trim() || null }), t("chat.kept", { name: name.trim() }))) onClose();
  };
  return (
    <Dialog narrow title={t("chat.keep")} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" disabled={!name.trim()} onClick={() => void send()}>{t("chat.keep.action")}</Button></>}>
      <div className="stack">
      {cut && <Note tone="warn"><p>{t("chat.keep.cut")}</p></Note>}
      <section className="stack tight small" aria-label={t("chat.keep.row")}>
        <strong>{t("chat.keep.row")}</strong>
        <dl className="pairs row-shown">
          {[...(system.trim() ? [{ role: "system", content: system.trim() }] : []), ...(editable ? messages.slice(0, -1) : messages)].map((one, n) => <div key={n}><dt>{named("chat", one.role)}</dt><dd className="said">{one.content || JSON.stringify(one.tool_calls ?? "")}</dd></div>)}
        </dl>
        {tuned && <p className="muted">{t("chat.keep.tuned")}</p>}
      </section>
      {editable && <Labelled label={t("chat.assistant")}>{(id) => <textarea id={id} rows={Math.min(14, 2 + answer.split("\n").length + Math.floor(answer.length / 50))} value={answer} onChange={(event) => setAnswer(event.target.value)} />}</Labelled>}
      <Labelled label={t("chat.keep.where")} help={fresh ? t("chat.keep.new", { name: name.trim() }) : t("chat.keep.help")}>{(id) => <>
        <input id={id} list={`${id}-list`} value={name} onChange={(event) => setName(event.target.value)} />
        <datalist id={`${id}-list`}>{sets.data?.map((set) => <option key={set.name} value={set.name} />)}</datalist>
      </>}</Labelled>
      </div>
    </Dialog>
  );
}
