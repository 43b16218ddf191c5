import { isActive, type Run } from "../api/types";
import { useRuns } from "../api/events";
import { duration, measure, named, number, percent, t, when } from "../i18n";
import { href } from "../router";
import { Bar, Clipped } from "../ui/parts";

/** Jobs that make data sets. */
export const AUTHORING = /^data (make|roles|convert)$/;

/** What kind of run it is, and of what; on its own page with the base model of that. */
export function Subject({ run, whole }: { run: Run; whole?: boolean }) {
  const about = useRuns()?.find((one) => one.id === run.of);
  const name = run.of.replace(/\/checkpoint-(\d+)$/, " · checkpoint-$1").replace(/^saves\//, "");
  return (
    <span className="subject">
      <span>{named("kind", run.kind)}</span>
      {run.of && <>·{about ? <a className="clip" href={href("runs", about.id)} title={run.of}>{about.name}</a> : <Clipped text={name} title={run.of} />}</>}
      {run.model && (whole || !run.of) && run.model !== run.of && <>·<Clipped text={run.model.replace(/^models\//, "")} title={run.model} /></>}
    </span>
  );
}

/** How long it still takes, and in the same place when it ended. */
const left = (run: Run): [string, string] => (isActive(run.status) ? [t("fact.left"), run.eta === null ? "–" : duration(run.eta)] : [t("fact.ended"), run.ended === null ? "–" : when(run.ended)]);

/** How far a run is and what it came to. last: the newest value of a metric. */
export function Summary({ run, last }: { run: Run; last: (name: string) => number | null }) {
  const now = Date.now() / 1000;
  const spent = run.started === null ? null : (run.ended ?? now) - run.started;
  if (AUTHORING.test(run.kind)) return <Making run={run} last={last} spent={spent} />;
  const evaluated = last("eval_loss");
  const speed = last("tokens_per_second");
  const facts: [string, string][] = [
    [t("fact.step"), run.steps ? `${measure(run.step)} / ${measure(run.steps)}` : run.step ? measure(run.step) : "–"],
    [t("fact.loss"), run.last_loss === null ? "–" : measure(run.last_loss)],
    [t("fact.eval_loss"), evaluated === null ? "–" : measure(evaluated)],
    [t("fact.speed"), speed === null ? "–" : measure(Math.round(speed))],
    [t("fact.time"), spent === null ? "–" : duration(spent)],
    left(run),
  ];
  return (
    <section className="card stack" aria-label={t("run.summary")}>
      <Progress run={run} />
      {(run.kind === "train" || run.kind === "eval") && <Facts facts={facts.slice(run.kind === "eval" ? -2 : 0)} />}
    </section>
  );
}

function Progress({ run }: { run: Run }) {
  const active = isActive(run.status);
  if (run.status === "queued" && run.queue_position !== null) return <p className="progress muted">{t("run.place", { place: run.queue_position })}</p>;
  if (!active && run.progress === null) return null;
  return (
    <div className="progress row">
      <div className="grow"><Bar value={run.progress} label={t("run.progress", { name: run.name })} tone={active ? undefined : run.status === "finished" ? "var(--good)" : "var(--line-strong)"} /></div>
      {run.stage && <span className="muted small">{run.stage}{run.eta !== null && ` · ${t("run.left", { time: duration(run.eta) })}`}</span>}
      {run.progress !== null && <strong className="small">{percent(run.progress, 1)}</strong>}
    </div>
  );
}

const Facts = ({ facts }: { facts: [string, string][] }) => <dl className="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;

/** What a job of authoring asked, spent and has still to do. */
function Making({ run, last, spent }: { run: Run; last: (name: string) => number | null; spent: number | null }) {
  const [failed, prompt, answers, money] = [last("failed"), last("prompt_tokens"), last("completion_tokens"), last("money")];
  const asked = prompt !== null;
  const facts: [string, string][] = [
    ...(asked ? [[t("fact.questions"), run.steps ? `${measure(run.step)} / ${measure(run.steps)}` : "–"]] : []),
    ...(failed ? [[t("metric.failed"), measure(failed)]] : []),
    ...(asked ? [[t("metric.prompt_tokens"), measure(prompt)], [t("metric.completion_tokens"), measure(answers ?? 0)]] : []),
    ...(money === null ? [] : [[t("metric.money"), number(money)]]),
    [t("fact.time"), spent === null ? "–" : duration(spent)],
    left(run),
  ] as [string, string][];
  return <section className="card stack" aria-label={t("run.summary")}><Progress run={run} /><Facts facts={facts} /></section>;
}
