import { useState } from "react";
import type { Answer, Turn } from "../chat/turns";
import { number, t } from "../i18n";
import { Button, Failure } from "../ui/parts";
import { say } from "../ui/toast";

/** loaded: the model that would answer now. */
interface Props { turn: Turn; loaded: string | null; busy: boolean; locked: boolean; onEdit: (text: string) => void; onAgain?: () => void; onSend: () => void }

export function ChatTurn({ turn, loaded, busy, locked, onEdit, onAgain, onSend }: Props) {
  const [draft, setDraft] = useState<string | null>(null);
  const text = turn.role === "assistant" ? turn.answer.text : turn.text;
  const copy = () => void navigator.clipboard.writeText(text).then(() => say(t("copied")));
  if (draft !== null) {
    return (
      <article className={`turn ${turn.role}`}>
        <textarea aria-label={t("chat.edit")} autoFocus rows={4} value={draft} onChange={(event) => setDraft(event.target.value)} />
        <div className="row"><Button small kind="primary" onClick={() => { onEdit(draft); setDraft(null); }}>{turn.role === "assistant" ? t("save") : t("chat.resend")}</Button><Button small onClick={() => setDraft(null)}>{t("cancel")}</Button></div>
      </article>
    );
  }
  return (
    <article className={`turn ${turn.role}`} aria-label={t(`chat.${turn.role}`)}>
      {turn.role === "assistant" && turn.model && turn.model !== loaded && <p className="muted small">{t("chat.by", { model: turn.model })}</p>}
      {turn.role === "assistant" ? (
        <div className={turn.base ? "sides" : undefined}>
          <Said title={turn.base ? t("chat.tuned") : undefined} answer={turn.answer} busy={busy} />
          {turn.base && <Said title={t("chat.base")} answer={turn.base} busy={busy} />}
        </div>
      ) : <p className="said">{turn.role === "tool" && <span className="tag">{t("chat.tool")}</span>} {turn.text}</p>}
      {!busy && (
        <div className="turn-tools">
          <Button small kind="quiet" icon="copy" title={t("copy")} onClick={copy} />
          <Button small kind="quiet" icon="edit" title={t("chat.edit")} disabled={locked} onClick={() => setDraft(text)} />
          {onAgain && <Button small kind="quiet" icon="again" title={t("chat.again")} disabled={locked} onClick={onAgain} />}
          {turn.role === "assistant" && !turn.answer.failed && <Button small kind="quiet" icon="data" title={t("chat.keep")} onClick={onSend} />}
        </div>
      )}
    </article>
  );
}

function Said({ title, answer, busy }: { title?: string; answer: Answer; busy: boolean }) {
  const thinking = busy && !answer.text;
  return (
    <div className="said-by">
      {title && <h3 className="muted small">{title}</h3>}
      {answer.thinking && <details className="thinking"><summary className="small muted">{thinking ? t("chat.isthinking") : t("chat.thought")}</summary><p className="said muted">{answer.thinking}</p></details>}
      <p className="said">{answer.text}{busy && answer.seconds === undefined && !answer.failed && <span className="caret" />}</p>
      {answer.calls?.map((call, n) => <pre key={n} className="code small">{JSON.stringify(call, null, 1)}</pre>)}
      {answer.failed && <Failure error={answer.failed} />}
      {answer.finish === "length" && <p className="warn small">{t("chat.cut", { n: answer.tokens ?? 0 })}</p>}
      {answer.finish === "stopped" && <p className="muted small">{t(answer.text || answer.thinking ? "chat.stopped" : "chat.stopped.before")}</p>}
      {answer.tokens !== undefined && answer.seconds !== undefined && answer.seconds > 0 && <p className="muted small">{t("chat.speed", { tokens: answer.tokens, speed: number(answer.tokens / answer.seconds, 1) })}{answer.seed !== undefined && <> · <span className="nowrap">{t("chat.seeded", { seed: String(answer.seed) })}</span></>}</p>}
    </div>
  );
}
