import { useMemo, useState } from "react";
import type { Prediction } from "../api/types";
import { diff, type Stretch } from "../evaluation/diff";
import { scoreName } from "../evaluation/names";
import { named, number, t } from "../i18n";
import { Button, Note } from "../ui/parts";
import { SendToDataset } from "./chat-send";

/** One question: what was asked, what stands in the data, what the model said. */
export function AnswerRow({ row, marked }: { row: Prediction; marked: boolean }) {
  const [sending, setSending] = useState(false);
  const [expected, found] = useMemo(() => diff(row.label, row.predict), [row.label, row.predict]);
  const base = useMemo(() => (row.base === null ? null : diff(row.label, row.base)[1]), [row.label, row.base]);
  const turns = row.messages.filter((turn) => turn.role !== "system");
  const asked = turns.at(-1)?.content ?? row.prompt;
  const n = row.index + 1;
  return (
    <li className="answer">
      <article className="stack tight" aria-label={t("rows.number", { n })}>
        <div className="row apart">
          <span className="muted small">{t("rows.number", { n })}{row.place && ` · ${row.place}`}</span>
          <span className="row"><Scores scores={row.scores} /><Button small kind="quiet" icon="data" title={t("chat.keep")} onClick={() => setSending(true)} /></span>
        </div>
        <p className="said asked">{asked}</p>
        <details className="small"><summary className="muted">{t("evaluation.prompt")}</summary>
          {turns.length > 1 && <dl className="pairs">{row.messages.map((turn, at) => <div key={at}><dt>{named("chat", turn.role)}</dt><dd>{turn.content}</dd></div>)}</dl>}
          <pre className="code" tabIndex={0}>{row.prompt}</pre>
        </details>
        {row.error !== null ? <Note tone="warn"><p>{row.error}</p></Note> : (
          <div className={base ? "sides three" : "sides"}>
            <Side title={t("evaluation.expected")} stretches={expected} mark={marked ? "del" : null} />
            <Side title={base ? t("chat.tuned") : t("evaluation.predicted")} stretches={found} mark={marked ? "ins" : null} thinking={row.thinking} />
            {base && <Side title={t("chat.base")} stretches={base} mark={marked ? "ins" : null} scores={row.base_scores} />}
          </div>
        )}
      </article>
      {sending && <SendToDataset editable messages={[...turns, { role: "assistant", content: row.label }]} system={row.messages.find((turn) => turn.role === "system")?.content ?? ""} tools={[]} onClose={() => setSending(false)} />}
    </li>
  );
}

function Side({ title, stretches, mark: Mark, thinking, scores }: { title: string; stretches: Stretch[]; mark: "ins" | "del" | null; thinking?: string | null; scores?: Prediction["scores"] }) {
  return (
    <div className="said-by">
      <h3 className="muted small">{title}</h3>
      {thinking && <details className="thinking"><summary className="small muted">{t("chat.thought")}</summary><p className="said muted">{thinking}</p></details>}
      {stretches.length === 0 && <p className="muted">{t("evaluation.nothing")}</p>}
      <p className="said">{stretches.map(({ text, same }, at) => (Mark && !same ? <Mark key={at}>{text}</Mark> : <span key={at}>{text}</span>))}</p>
      {scores && <span className="row"><Scores scores={scores} /></span>}
    </div>
  );
}

/** An exact match as a word, the others as numbers from 0 to 100. */
function Scores({ scores: { exact_match, ...others } }: { scores: Prediction["scores"] }) {
  return (
    <>
      {exact_match === 100 && <span className="badge" data-tone="good">{scoreName("exact_match")}</span>}
      {Object.entries(others).map(([name, value]) => <span key={name} className="badge plain">{scoreName(name)} {number(Math.round(value), 0)}</span>)}
    </>
  );
}
