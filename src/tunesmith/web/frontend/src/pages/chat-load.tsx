import { useEffect, useState } from "react";
import { ApiError, get, post, remove } from "../api/client";
import type { ChatSession, Settings } from "../api/types";
import { told, useResource } from "../api/use";
import { t } from "../i18n";
import { Bar, Button, Failure, Labelled, Note } from "../ui/parts";
import { attempt } from "../ui/toast";
import { useModels } from "./models";
import { asksForTrust, Trust } from "./trust";

const placeOf = (session: ChatSession) => session.adapter ?? session.model;
const nameOf = (session: ChatSession) => session.name || placeOf(session).split("/").at(-1)!;

/** The models that are loaded, each in a process of its own: the one that answers, and those that could. */
export function Loader({ session, setSession, wanted }: { session: ChatSession | null; setSession: (session: ChatSession | null) => void; wanted: string | null }) {
  const models = useModels();
  const [chosen, setChosen] = useState("");
  const [replace, setReplace] = useState(true);
  const [error, setError] = useState<ApiError | null>(null);
  const [asking, setAsking] = useState<{ refusal: ApiError; model: string } | null>(null);
  const known = useResource<ChatSession[]>("chat", (signal) => get("chat", {}, signal));
  const held = (known.data ?? []).filter((one) => one.status !== "failed");
  const value = chosen || wanted || "";
  useEffect(() => {
    const loaded = held.filter((one) => !wanted || one.model === wanted).at(-1);
    if (loaded && !session) setSession(loaded);
    // Only what was loaded before this page came counts.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [known.data !== undefined]);
  const look = async () => {
    const list = await get<ChatSession[]>("chat");
    known.set(list);
    const now = list.find((one) => one.session === session?.session);
    if (!session || (now && now.status === session.status)) return;
    setSession(now?.status === "failed" ? null : (now ?? null));
    if (now?.status !== "failed") return;
    if (now.field === "trust_remote_code") void load(now.model, { trust_remote_code: true }, list);
    else setError(new ApiError(400, now.message, now.hint));
  };
  const loading = session?.status === "loading" || held.some((one) => one.status === "loading");
  useEffect(() => {
    const seen = () => void look().catch((reason: unknown) => setError(told(reason)));
    const timer = loading ? setInterval(seen, 700) : undefined;
    addEventListener("focus", seen); // another tab may have loaded or unloaded one
    return () => { clearInterval(timer); removeEventListener("focus", seen); };
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [session, loading, replace, value]);
  const begin = async (model: string, settings: Settings, trusted: boolean, there = known.data ?? []) => {
    const free = replace ? there.map((one) => one.session) : [];
    const begun = await post<ChatSession>("chat/load", { model, settings, trusted, free });
    known.set([...there.filter((one) => !free.includes(one.session)), begun]);
    setSession(begun);
  };
  /** A model that brings code of its own is loaded once somebody agreed; the server says whose code it is. */
  const load = async (model: string, settings: Settings = {}, there?: ChatSession[]) => {
    setError(null);
    try {
      await begin(model, settings, false, there);
    } catch (reason) {
      const refusal = told(reason);
      if (asksForTrust(refusal)) setAsking({ refusal, model });
      else setError(refusal);
    }
  };
  const unload = async (one: ChatSession) => {
    if (!(await attempt(() => remove(`chat/${one.session}`)))) return;
    const left = held.filter((other) => other.session !== one.session);
    known.set(left);
    if (one.session === session?.session) setSession(left.at(-1) ?? null);
  };
  const form = (
    <div className="stack">
      <Labelled label={t("chat.model")} help={t("chat.model.help")}>{(id) => <>
        <input id={id} list={`${id}-list`} value={value} spellCheck={false} onChange={(event) => setChosen(event.target.value)} />
        <datalist id={`${id}-list`}>{models.map((one) => <option key={one.path} value={one.path}>{one.name}</option>)}</datalist>
      </>}</Labelled>
      {held.length > 0 && <label className="row small"><input type="checkbox" checked={replace} onChange={(event) => setReplace(event.target.checked)} />{t("chat.replace", { names: held.map(nameOf).join(", ") })}</label>}
      <Button kind="primary" disabled={!value} onClick={() => void load(value)}>{t("chat.load")}</Button>
    </div>
  );
  return (
    <section className="card stack">
      {held.length > 0 && <ul className="stack tight" aria-label={t("chat.held")}>{held.map((one) => (
        <Loaded key={one.session} session={one} current={one.session === session?.session} alone={held.length === 1} onTalk={() => setSession(one)} onUnload={() => void unload(one)} />
      ))}</ul>}
      {error && <Failure error={error} />}
      {session ? <details><summary className="small">{t("chat.other")}</summary>{form}</details> : form}
      {asking && <Trust refusal={asking.refusal} run={() => begin(asking.model, { trust_remote_code: true }, true)} onClose={() => setAsking(null)} />}
    </section>
  );
}

/** One that is loaded or loads; of several, the one that answers is marked. */
function Loaded({ session, current, alone, onTalk, onUnload }: { session: ChatSession; current: boolean; alone: boolean; onTalk: () => void; onUnload: () => void }) {
  const name = nameOf(session);
  const title = <><span className="strong clip" title={placeOf(session)}>{name}</span>{!alone && <span className="muted small clip">{placeOf(session)}</span>}</>;
  const free = <Button small title={t("chat.unload.name", { name })} onClick={onUnload}>{t("chat.unload")}</Button>;
  if (session.status !== "ready") return <li className="stack tight">{title}<Bar value={null} label={t("chat.loading")} /><div className="row apart"><span className="muted small">{t("chat.loading")}</span>{free}</div></li>;
  return (
    <li className="stack tight" aria-current={current || undefined}>
      {current
        ? <Note tone="good" action={free}><div className="stack tight">{title}</div><p className="small">{t("chat.loaded")}</p></Note>
        : <div className="row apart"><button type="button" className="plain grow" title={t("chat.talk", { name })} onClick={onTalk}>{title}</button>{free}</div>}
      {current && session.notes.map((note) => <p key={note} className="small muted">{note}</p>)}
    </li>
  );
}
