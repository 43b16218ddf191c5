import { useState } from "react";
import type { MadeRow } from "../api/types";
import { named, percent, t } from "../i18n";
import { Button } from "../ui/parts";

export type Verdict = "accepted" | "rejected" | "open";
export interface Words { question: string; answer: string }
interface Props { row: MadeRow; editing: boolean; onEdit: (on: boolean) => void; onDecide: (verdict: Verdict, words?: Words) => void }

export function ReviewRow({ row, editing, onEdit, onDecide }: Props) {
  const held = row.kind !== "";
  return (
    <li className={held ? "data-row review held" : "data-row review"} tabIndex={0} aria-label={row.question}>
      {editing ? <Editing row={row} onClose={() => onEdit(false)} onSave={(words) => { onEdit(false); onDecide("accepted", words); }} /> : (
        <>
          <div className="said-by">
            <p className="strong text">{row.question}</p>
            <p className="text">{row.answer}</p>
          </div>
          <p className="row small">
            <span className="badge" data-tone={held ? (row.by_hand ? "bad" : "warn") : row.by_hand ? "good" : ""}>{stateOf(row)}</span>
            {row.reason && !row.by_hand && <span className="muted">{row.reason}</span>}
          </p>
          <Place row={row} />
        </>
      )}
      {!editing && (
        <div className="row review-tools">
          <Button small icon="check" aria-pressed={row.by_hand && !held} onClick={() => onDecide("accepted")}>{t("review.accept")}</Button>
          <Button small icon="close" aria-pressed={row.by_hand && held} onClick={() => onDecide("rejected")}>{t("review.reject")}</Button>
          <Button small kind="quiet" icon="edit" title={t("review.edit")} onClick={() => onEdit(true)} />
          <Button small kind="quiet" icon="again" title={t("review.undo")} style={row.by_hand ? undefined : { visibility: "hidden" }} onClick={() => onDecide("open")} />
        </div>
      )}
    </li>
  );
}

function stateOf(row: MadeRow): string {
  if (row.by_hand) return t(row.kind ? "review.rejected" : "review.accepted");
  return row.kind ? named("review.kind", row.kind) : t("review.in");
}

/** Where the row comes from, and how it was judged. */
function Place({ row }: { row: MadeRow }) {
  const facts = [
    row.source, row.source_heading, row.source_page === null ? "" : t("review.page", { n: row.source_page }), row.style,
    row.grounding === null ? "" : t("review.grounding", { share: percent(row.grounding) }),
    row.judge_score === null ? "" : t("review.judge", { score: row.judge_score }),
  ].filter(Boolean);
  return (
    <details className="muted small">
      <summary>{facts.join(" · ")}</summary>
      {row.evidence && <blockquote className="text">{row.evidence}</blockquote>}
      {row.source_start !== null && row.source_end !== null && <p>{t("review.chars", { from: row.source_start, to: row.source_end })}</p>}
      {row.judge_reason && <p>{row.judge_reason}</p>}
    </details>
  );
}

function Editing({ row, onSave, onClose }: { row: MadeRow; onSave: (words: Words) => void; onClose: () => void }) {
  const [words, setWords] = useState<Words>({ question: row.question, answer: row.answer });
  const whole = Boolean(words.question.trim() && words.answer.trim());
  const lines = (text: string) => Math.min(14, Math.max(2, text.split("\n").length + Math.floor(text.length / 80)));
  return (
    <form className="stack tight" onSubmit={(event) => { event.preventDefault(); if (whole) onSave(words); }} onKeyDown={(event) => {
      if (event.key === "Escape") onClose();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && whole) onSave(words);
    }}>
      {(["question", "answer"] as const).map((name, n) => (
        <label key={name} className="stack tight"><span className="small muted">{t(`review.${name}`)}</span>
          <textarea autoFocus={n === 0} rows={lines(words[name])} value={words[name]} onChange={(event) => setWords({ ...words, [name]: event.target.value })} />
        </label>
      ))}
      <div className="row"><Button small type="submit" kind="primary" disabled={!whole}>{t("review.save")}</Button><Button small onClick={onClose}>{t("cancel")}</Button></div>
    </form>
  );
}
