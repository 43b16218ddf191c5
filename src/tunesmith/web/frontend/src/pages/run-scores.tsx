import type { Evaluation, Run } from "../api/types";
import { isActive } from "../api/types";
import { scoreName } from "../evaluation/names";
import { measure, number, percent, t } from "../i18n";

type Score = Evaluation["metrics"][number];

const shown = (value: number | null, unit: Score["unit"]) => (value === null ? "–" : unit === "%" ? percent(value / 100, 1) : measure(value));

/** What an evaluation came to, the base model's beside it where that was asked too. */
export function RunScores({ run, evaluation }: { run: Run; evaluation: Evaluation }) {
  const { metrics, rows, answered, failed, predicts } = evaluation;
  const partial = predicts && rows !== null && answered + failed < rows;
  if (!metrics.length && !partial) return null;
  return (
    <section className="card stack" aria-label={t("evaluation.scores")}>
      {metrics.length > 0 && (
        <dl className="facts scores">
          {metrics.map((score) => (
            <div key={score.name}>
              <dt>{scoreName(score.name)}{score.lower_is_better && <span className="visually-hidden"> ({t("evaluation.lower")})</span>}</dt>
              <dd>{shown(score.value, score.unit)}</dd>
              {score.base !== null && <dd className="beside muted">{t("chat.base")}: {shown(score.base, score.unit)}</dd>}
            </div>
          ))}
        </dl>
      )}
      {partial && (isActive(run.status) || answered > 0) && <p className="small muted">{t("evaluation.partial", { answered: number(answered), n: rows })}</p>}
      {failed > 0 && <p className="small warn">{t("evaluation.failed", { n: failed })}</p>}
    </section>
  );
}
