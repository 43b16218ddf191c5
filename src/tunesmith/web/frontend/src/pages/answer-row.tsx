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
  const turns = row.messages.filter((turn) => turn.role !== "system");
  const asked = turns.at(-1)?.content ?? row.prompt;
  const n = row.index + 1;
  return (
    <li className="answer">
      <article className="stack tight" aria-label={t("rows.number", { n })}>
        <div className="answer-head">
          <div><span className="muted small">{t("rows.number", { n })}{row.place && ` · ${row.place}`}</span><Scores scores={row.scores} /></div>
          <Button small kind="quiet" icon="data" title={t("chat.keep")} onClick={() => setSending(true)} />
        </div>
        <p className="said asked">{asked}</p>
        <details className="small"><summary className="muted">{t("evaluation.prompt")}</summary>
          {turns.length > 1 && <dl className="pairs">{row.messages.map((turn, at) => <div key={at}><dt>{named("chat", turn.role)}</dt><dd>{turn.content}</dd></div>)}</dl>}
          <pre className="code" tabIndex={0}>{row.prompt}</pre>
        </details>
        {row.error !== null ? <Note tone="warn"><p>{row.error}</p></Note> : (
          <div className={row.base === null ? "sides" : "sides three"}>
            <Side title={t("evaluation.expected")} stretches={expected} mark={marked ? "del" : null} />
            <Side title={row.base === null ? t("evaluation.predicted") : t("chat.tuned")} stretches={found} mark={marked ? "ins" : null} thinking={row.thinking} />
            {row.base !== null && <Side title={t("chat.base")} stretches={[{ text: row.base, same: true }]} mark={null} scores={row.base_scores} />}
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
      {stretches.every(({ text }) => !text) && <p className="muted">{t("evaluation.nothing")}</p>}
      <p className="said">{stretches.map(({ text, same }, at) => (Mark && !same ? <Mark key={at}>{text}</Mark> : <span key={at}>{text}</span>))}</p>
      {scores && <Scores scores={scores} />}
    </div>
  );
}

/** An exact match as a word, the others as numbers from 0 to 100. */
function Scores({ scores: { exact_match, ...others } }: { scores: Prediction["scores"] }) {
  return (
    <p className="marks muted small">
      {exact_match === 100 && <span className="badge" data-tone="good">{scoreName("exact_match")}</span>}
      {Object.entries(others).map(([name, value]) => <span key={name} className="nowrap">{scoreName(name)} {number(Math.round(value), 0)}</span>)}
    </p>
  );
}
