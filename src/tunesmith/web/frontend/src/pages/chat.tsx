import { useEffect, useRef, useState } from "react";
import { get, put, remove, stream, type ApiError } from "../api/client";
import type { ChatPart, ChatSession, Conversation, ConversationHead } from "../api/types";
import { told, useKept, useResource } from "../api/use";
import { ended, heard, messagesOf, opened, seedFor, titleOf, toolsIn, type Turn } from "../chat/turns";
import { useChecked } from "../form/check";
import { t, when } from "../i18n";
import { useRoute } from "../router";
import { Confirm, type Question } from "../ui/dialog";
import { Button, Empty, Failure, Page } from "../ui/parts";
import { Said } from "../ui/said";
import { attempt, say } from "../ui/toast";
import { Loader } from "./chat-load";
import { ASKING, CHECKED, ChatSettings, checkedOf, seedOf, settingsOf, wordsOf, type Asking } from "./chat-settings";
import { ChatTurn } from "./chat-turn";
import { SendToDataset } from "./chat-send";

const NEAR_END = 48;

/** A conversation as it is kept. gone: deleted, so that an answer that still comes in does not bring it back. */
interface Place { id: string; revision: string; gone?: boolean }
const fresh = (): Place => ({ id: `c${Date.now().toString(36)}`, revision: "" });
/** What answers, by the name that tells it from others. */
const placeOf = (session: ChatSession | null) => session && (session.adapter ?? session.model);

export function ChatPage() {
  const route = useRoute();
  const [session, setSession] = useState<ChatSession | null>(null);
  const [asking, setAsking] = useKept<Asking>("asking", ASKING);
  const [compare, setCompare] = useKept("chat.compare", true);
  const [turns, setTurns] = useState<Turn[]>([]);
  const place = useRef<Place | null>(null);
  const here = (place.current ??= fresh());
  const [control, setControl] = useState<AbortController | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [sending, setSending] = useState<number | null>(null);
  const [question, setQuestion] = useState<Question | null>(null);
  const saved = useResource<ConversationHead[]>("conversations", (signal) => get("conversations", {}, signal));
  const said = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const tools = toolsIn(asking.tools);
  const ready = session?.status === "ready" ? session : null;
  const { check, fresh: checked } = useChecked("chat", checkedOf(asking));
  const problems = (check?.problems ?? []).filter((problem) => CHECKED.some((name) => name === problem.field));
  const wrong = [...problems.map(wordsOf), ...(tools.problem ? [t("chat.tools.wrong", { why: tools.problem })] : [])];
  const both = compare && Boolean(ready?.tuned);

  // To the end with every word, and once more when the buttons under an answer come; whoever reads further up stays there.
  useEffect(() => {
    const box = said.current;
    if (box && atEnd.current) box.scrollTop = box.scrollHeight;
  }, [turns, control]);

  /** Ask, and ask the base model after it; what was said until a stop stands. again: how often that was asked before. */
  const answer = async (before: Turn[], again = 0) => {
    if (!ready || wrong.length) return;
    const own = new AbortController();
    setControl(own);
    setError(null);
    atEnd.current = true;
    let now: Turn[] = [...before, opened(both, placeOf(ready) ?? undefined, again)];
    const show = () => { if (place.current === here) setTurns(now); };
    show();
    const question = { messages: messagesOf(before), system: asking.system.trim() || null, tools: tools.tools, settings: settingsOf(asking), seed: seedFor(seedOf(asking), again) };
    try {
      ask: for (const side of both ? (["answer", "base"] as const) : (["answer"] as const)) {
        for await (const part of stream<ChatPart>(`chat/${ready.session}/answer`, { ...question, base: side === "base" }, own.signal)) {
          now = heard(now, part, side);
          show();
          if (part.kind === "error") break ask;
        }
      }
    } catch (reason) {
      if (!own.signal.aborted) setError(told(reason));
    }
    now = ended(now);
    show();
    setControl((control) => (control === own ? null : control));
    await keep(now, here);
  };
  /** A conversation that another tab went on with stays as it is; this one then becomes one of its own. */
  const keep = async (now: Turn[], as: Place): Promise<void> => {
    if (as.gone) return;
    try {
      const { revision } = await put<Conversation>(`conversations/${as.id}`, { title: titleOf(now), content: { system: asking.system, turns: now }, revision: as.revision });
      as.revision = revision;
      saved.reload();
    } catch (reason) {
      const error = told(reason);
      if (error.field === "revision") {
        say(t("chat.forked"));
        Object.assign(as, fresh());
        await keep(now, as);
      } else if (place.current === as) setError(error);
      else say(error.message, "bad", error.hint);
    }
  };
  const stop = () => control?.abort();
  /** To another conversation; what was said in this one so far is kept. */
  const turnTo = (next: Place, now: Turn[]) => {
    control?.abort();
    setControl(null);
    place.current = next;
    atEnd.current = true;
    setTurns(now);
    setError(null);
  };
  const begin = () => turnTo(fresh(), []);
  const open = (id: string) => attempt(async () => {
    if (id === here.id && control) return;
    const { content, revision } = await get<Conversation>(`conversations/${id}`);
    setAsking({ ...asking, system: content.system ?? "" });
    turnTo({ id, revision }, (content.turns ?? []) as unknown as Turn[]);
  });
  const forget = async (id: string) => {
    const own = id === here.id;
    if (own) here.gone = true;
    try {
      await remove(`conversations/${id}`);
    } catch (reason) {
      if (own) here.gone = false;
      throw reason;
    }
    say(t("chat.forgotten"));
    if (own) begin();
    saved.reload();
  };
  const edit = (at: number, text: string) => {
    const turn = turns[at]!;
    if (turn.role !== "assistant") return void answer([...turns.slice(0, at), { role: turn.role, text }]);
    const now = turns.map((one, n) => (n === at ? { ...turn, answer: { ...turn.answer, text, finish: undefined } } : one));
    setTurns(now);
    void keep(now, here);
  };
  return (
    <Page title={t("chat.title")} lead={t("chat.lead")} actions={turns.length > 0 && <Button icon="plus" onClick={begin}>{t("chat.new")}</Button>}>
      <div className="columns chat">
        <section className="card flush chat-box" aria-label={t("chat.title")}>
          <div ref={said} onScroll={({ currentTarget: box }) => { atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END; }} className="chat-turns" role="log" aria-live="off" tabIndex={0} aria-label={t("chat.conversation")}>
            {turns.length === 0 && <Empty icon="chat" title={ready ? t("chat.ready") : t("chat.empty")}>{ready ? t("chat.ready.text") : t("chat.empty.text")}</Empty>}
            {turns.map((turn, n) => (
              <ChatTurn key={n} turn={turn} loaded={placeOf(ready)} busy={control !== null && n === turns.length - 1} locked={control !== null || !ready || wrong.length > 0}
                onEdit={(text) => edit(n, text)} onSend={() => setSending(n)}
                onAgain={turn.role === "assistant" ? () => void answer(turns.slice(0, n), (turn.again ?? 0) + 1) : undefined} />
            ))}
            {error && <Failure error={error} />}
          </div>
          <Composer disabled={!ready} wrong={ready ? wrong : []} checked={checked} busy={control !== null} onStop={stop} tools={tools.names.length > 0} onSend={(role, text) => void answer([...turns, { role, text }])} />
        </section>
        <aside className="side stack" aria-label={t("chat.side")}>
          <Loader session={session} setSession={setSession} wanted={route.query.get("run") ?? route.query.get("model")} />
          {ready?.tuned && (
            <section className="card"><label className="row"><input type="checkbox" checked={compare} onChange={(event) => setCompare(event.target.checked)} /><strong>{t("chat.compare")}</strong></label><p className="muted small" style={{ marginTop: "var(--s1)" }}>{t("chat.compare.text")}</p></section>
          )}
          <ChatSettings asking={asking} setAsking={setAsking} tools={tools} problems={problems} />
          {saved.data && saved.data.length > 0 && (
            <section className="card"><header><h2>{t("chat.saved")}</h2></header>
              <ul className="list">{saved.data.slice(0, 30).map((one) => (
                <li key={one.id} className="row" style={{ padding: "6px 0", flexWrap: "nowrap" }}>
                  <button type="button" className="plain grow" aria-current={one.id === here.id || undefined} onClick={() => void open(one.id)}><span className="clip">{one.title || t("chat.untitled")}</span><span className="muted small">{when(one.updated)}</span></button>
                  <Button small kind="quiet" icon="trash" title={t("chat.forget", { title: one.title || t("chat.untitled") })} onClick={() => setQuestion({
                    title: t("chat.forget.title", { title: one.title || t("chat.untitled") }), text: t("chat.forget.text"), action: t("run.delete"), danger: true, run: () => forget(one.id),
                  })} />
                </li>
              ))}</ul>
            </section>
          )}
        </aside>
      </div>
      {question && <Confirm question={question} onClose={() => setQuestion(null)} />}
      {sending !== null && <SendToDataset cut={isCut(turns[sending])} tuned={hasBase(turns[sending])} messages={messagesOf(turns, sending + 1)} system={asking.system} tools={tools.tools} onClose={() => setSending(null)} />}
    </Page>
  );
}

const isCut = (turn?: Turn) => turn?.role === "assistant" && (turn.answer.finish === "length" || turn.answer.finish === "stopped");

const hasBase = (turn?: Turn) => turn?.role === "assistant" && turn.base !== undefined;

/** wrong: why nothing can be sent; writing goes on. checked: whether that is about the settings as they are now: what is
 * sent before waits for the check. */
function Composer({ disabled, wrong, checked, busy, tools, onSend, onStop }: { disabled: boolean; wrong: string[]; checked: boolean; busy: boolean; tools: boolean; onSend: (role: "user" | "tool", text: string) => void; onStop: () => void }) {
  const [text, setText] = useState("");
  const [role, setRole] = useState<"user" | "tool">("user");
  const [waits, setWaits] = useState(false);
  const send = () => {
    setWaits(!checked);
    if (!text.trim() || disabled || !checked || wrong.length || busy) return;
    onSend(tools ? role : "user", text);
    setText("");
    setRole("user");
  };
  useEffect(() => {
    if (waits && checked) send();
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [waits, checked]);
  return (
    <>
    {wrong.length > 0 && <div className="composer-wrong small bad" role="status">{wrong.map((one) => <p key={one}><Said text={one} /></p>)}</div>}
    <form className="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {tools && <select aria-label={t("chat.role")} value={role} onChange={(event) => setRole(event.target.value as "user" | "tool")} style={{ width: "auto" }}><option value="user">{t("chat.user")}</option><option value="tool">{t("chat.tool")}</option></select>}
      <textarea
        rows={2} value={text} aria-label={t("chat.message")} placeholder={t("chat.message")} disabled={disabled} onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => { if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) { event.preventDefault(); send(); } }}
      />
      {busy ? <Button icon="stop" onClick={onStop}>{t("chat.stop")}</Button> : <Button type="submit" kind="primary" icon="send" busy={waits} disabled={disabled || (checked && wrong.length > 0) || !text.trim()}>{t("chat.send")}</Button>}
    </form>
    </>
  );
}
