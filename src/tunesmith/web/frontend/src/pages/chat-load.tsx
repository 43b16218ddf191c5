import { useEffect, useState } from "react";
import { ApiError, get, post, remove } from "../api/client";
import type { ChatSession, Settings } from "../api/types";
import { told, useResource } from "../api/use";
import { t } from "../i18n";
import { Bar, Button, Failure, Labelled, Note } from "../ui/parts";
import { attempt } from "../ui/toast";
import { useModels } from "./models";
import { asksForTrust, Trust } from "./trust";

/** The model that answers: chosen, loaded into a process of its own, and let go. */
export function Loader({ session, setSession, wanted }: { session: ChatSession | null; setSession: (session: ChatSession | null) => void; wanted: string | null }) {
  const models = useModels();
  const [chosen, setChosen] = useState("");
  const [error, setError] = useState<ApiError | null>(null);
  const [asking, setAsking] = useState<ApiError | null>(null);
  const known = useResource<ChatSession[]>("chat", (signal) => get("chat", {}, signal));
  const value = chosen || wanted || "";
  const name = session?.name || (session?.adapter ?? session?.model ?? "").split("/").at(-1);
  useEffect(() => {
    const loaded = known.data?.find((one) => one.status !== "failed");
    if (loaded && !session && (!wanted || loaded.model === wanted)) setSession(loaded);
    // Only what was loaded before this page came counts.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [known.data]);
  useEffect(() => {
    if (session?.status !== "loading") return;
    const timer = setInterval(() => void get<ChatSession>(`chat/${session.session}`).then(
      (now) => {
        if (now.status === "failed") {
          setSession(null);
          if (now.field === "trust_remote_code") void load({ trust_remote_code: true });
          else setError(new ApiError(400, now.message, now.hint));
        }
        else if (now.status === "ready") setSession(now);
      },
      (reason: unknown) => { setError(told(reason)); setSession(null); },
    ), 700);
    return () => clearInterval(timer);
  }, [session, setSession]);
  const begin = async (settings: Settings, trusted: boolean) => setSession(await post<ChatSession>("chat/load", { model: value, settings, trusted }));
  /** A model that brings code of its own is loaded once somebody agreed; the server says whose code it is. */
  const load = async (settings: Settings = {}) => {
    setError(null);
    try {
      await begin(settings, false);
    } catch (reason) {
      const refusal = told(reason);
      if (asksForTrust(refusal)) setAsking(refusal);
      else setError(refusal);
    }
  };
  const unload = async () => {
    if (session && await attempt(() => remove(`chat/${session.session}`))) setSession(null);
  };
  return (
    <section className="card stack">
      {session ? (
        <>
          {session.status === "ready"
            ? <Note tone="good"><p className="strong clip" title={session.model}>{name}</p><p className="small">{t("chat.loaded")}</p></Note>
            : <div className="stack tight"><strong className="clip">{name}</strong><Bar value={null} label={t("chat.loading")} /><p className="muted small">{t("chat.loading")}</p></div>}
          {session.notes.map((note) => <p key={note} className="small muted">{note}</p>)}
          <Button onClick={() => void unload()}>{t("chat.unload")}</Button>
        </>
      ) : (
        <>
          <Labelled label={t("chat.model")} help={t("chat.model.help")}>{(id) => <>
            <input id={id} list={`${id}-list`} value={value} spellCheck={false} onChange={(event) => setChosen(event.target.value)} />
            <datalist id={`${id}-list`}>{models.map((one) => <option key={one.path} value={one.path}>{one.name}</option>)}</datalist>
          </>}</Labelled>
          <Button kind="primary" disabled={!value} onClick={() => void load()}>{t("chat.load")}</Button>
          {error && <Failure error={error} />}
        </>
      )}
      {asking && <Trust refusal={asking} run={() => begin({ trust_remote_code: true }, true)} onClose={() => setAsking(null)} />}
    </section>
  );
}
