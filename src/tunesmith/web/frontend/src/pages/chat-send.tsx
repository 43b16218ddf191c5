import { useState } from "react";
import { get, post } from "../api/client";
import type { ChatMessage, Dataset, Json } from "../api/types";
import { useKept, useResource } from "../api/use";
import { t } from "../i18n";
import { Dialog } from "../ui/dialog";
import { Button, Labelled } from "../ui/parts";
import { attempt } from "../ui/toast";

/** Puts a conversation up to a good answer into a data set. */
export function SendToDataset({ messages, system, tools, onClose }: { messages: ChatMessage[]; system: string; tools: Json[]; onClose: () => void }) {
  const sets = useResource<Dataset[]>("datasets", (signal) => get("datasets", {}, signal));
  const [kept, keep] = useKept("chat.dataset", "chats");
  const [name, setName] = useState(kept);
  const send = async () => {
    keep(name);
    if (await attempt(() => post("chat/send_to_dataset", { name: name.trim(), messages, tools, system: system.trim() || null }), t("chat.kept", { name: name.trim() }))) onClose();
  };
  return (
    <Dialog narrow title={t("chat.keep")} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" disabled={!name.trim()} onClick={() => void send()}>{t("chat.keep.action")}</Button></>}>
      <Labelled label={t("chat.keep.where")} help={t("chat.keep.help")}>{(id) => <>
        <input id={id} list={`${id}-list`} value={name} onChange={(event) => setName(event.target.value)} />
        <datalist id={`${id}-list`}>{sets.data?.map((set) => <option key={set.name} value={set.name} />)}</datalist>
      </>}</Labelled>
    </Dialog>
  );
}
