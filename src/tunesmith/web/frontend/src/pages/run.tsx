import { useEffect, useReducer, useRef, useState } from "react";
import { get, segment, url } from "../api/client";
import { grown, isOf, useRuns, useRunNews, type LogNews } from "../api/events";
import { isActive, stateOf, type Evaluation, type Log, type Metrics, type Run, type RunDetail } from "../api/types";
import { useResource } from "../api/use";
import { extended } from "../curve/data";
import { t, when } from "../i18n";
import { href, useRoute } from "../router";
import { Empty, Failure, Note, Page, StatusBadge, Tabs, Waiting } from "../ui/parts";
import { Said } from "../ui/said";
import { Steady } from "../ui/steady";
import { Remedies } from "./remedies";
import { buttonsOf, RunActions } from "./run-actions";
import { RunAnswers } from "./run-answers";
import { RunConfig } from "./run-config";
import { RunCurves, Words } from "./run-curves";
import { RunFiles } from "./run-files";
import { RunLog } from "./run-log";
import { RunRows } from "./run-rows";
import { RunSamples } from "./run-samples";
import { AUTHORING, Subject, Summary } from "./run-summary";
import { RunScores } from "./run-scores";
import { Verdict } from "./verdict";

const MOST_HEARD = 50;
/** Points of a curve that a screen can show. */
const POINTS = 2000;
const TABS = ["answers", "curve", "rows", "log", "samples", "config", "files"] as const;

export function RunPage() {
  const route = useRoute();
  const id = route.id;
  const detail = useResource<RunDetail>(id, (signal) => get(`runs/${segment(id)}`, {}, signal));
  const [range, setRange] = useState<[number, number] | null>(null);
  const metrics = useResource<Metrics>(id, (signal) => get(`runs/${segment(id)}/metrics`, { points: POINTS }, signal));
  // The whole curve stays; where it is thinned, the part that is looked at is read closely as well.
  const thinned = Object.values(metrics.data?.total ?? {}).some((points) => points > POINTS);
  const part = useResource<Metrics>(range && thinned ? `${id}?${range.join("-")}` : null, (signal) => get(`runs/${segment(id)}/metrics`, { points: POINTS, from: Math.floor(range![0]), to: Math.ceil(range![1]) }, signal));
  const log = useResource<Log>(id, (signal) => get(`runs/${segment(id)}/log`, { tail: 2000 }, signal));
  const from = metrics.data && log.data ? `${metrics.data.offset}.${log.data.attempt}.${log.data.offset}` : null;
  const newest = useRef({ id, values: {} as Record<string, number | null> });
  if (newest.current.id !== id) newest.current = { id, values: {} };
  if (metrics.data) for (const [name, points] of Object.entries(metrics.data.series)) newest.current.values[name] = points.at(-1)?.[1] ?? null;
  // News of the log wait while it is fetched.
  const heard = useRef({ id, lines: [] as LogNews[] });
  const [, hear] = useReducer((n: number) => n + 1, 0);
  if (heard.current.id !== id) heard.current = { id, lines: [] };
  useEffect(() => {
    const { data, loading, set } = log;
    if (!data || loading || heard.current.lines.length === 0) return;
    const now = heard.current.lines.reduce(grown, data);
    heard.current.lines = heard.current.lines.filter((news) => !isOf(data, news));
    if (now !== data) set(now);
  });
  useRunNews(id, from, (news) => {
    for (const row of news.metrics ?? []) Object.assign(newest.current.values, row);
    if (news.reload_log) log.reload();
    if (news.log) {
      heard.current.lines = [...heard.current.lines.slice(-MOST_HEARD), { lines: news.log, cursor: news.cursor }];
      hear();
    }
    if (news.reload_metrics) metrics.reload();
    else if (news.metrics && metrics.data) {
      const series = extended(metrics.data.series, news.metrics);
      if (!series) metrics.reload();
      else metrics.set({ ...metrics.data, series });
    }
  });
  const live = useRuns()?.find((run) => run.id === id);
  const run: Run | undefined = live ?? detail.data?.summary;
  const statusNow = live?.status;
  const [statusThen, setStatusThen] = useState(statusNow);
  if (statusNow !== statusThen) {
    setStatusThen(statusNow);
    if (statusThen !== undefined) { detail.reload(); metrics.reload(); }
  }
  const training = run?.kind === "train";
  const evaluating = run?.kind === "eval";
  const evaluation = useResource<Evaluation>(evaluating ? `${id}@${run.status}.${run.step}` : null, (signal) => get(`runs/${segment(id)}/evaluation`, {}, signal));
  const made = AUTHORING.test(run?.kind ?? "") ? String(detail.data?.asked["out"] ?? run?.name ?? "") : "";
  const drawn = training || (made && Object.keys(metrics.data?.series ?? {}).length > 0);
  const tabs = TABS.filter((tab) => (tab === "answers" ? evaluating : tab === "rows" ? made : tab === "curve" ? drawn : training || tab !== "samples"));
  if (made && drawn) tabs.sort((a, b) => Number(b === "rows") - Number(a === "rows"));
  const tab = (route.query.get("tab") as (typeof TABS)[number] | null) ?? tabs[0]!;
  const crumb = { href: href("runs"), text: t("nav.runs") };
  if (detail.error?.status === 404 && !live) {
    return <Page title={id.split("/").at(-1) ?? id} crumb={crumb}><div className="card"><Empty icon="runs" title={t("run.gone")} actions={<a className="button primary" href={href("runs")}>{t("nav.runs")}</a>}>{t("run.gone.text")}</Empty></div></Page>;
  }
  if (!run) {
    return <Page title={id.split("/").at(-1) ?? id} crumb={crumb}>{detail.error ? <Failure error={detail.error} retry={detail.reload} /> : <div className="card"><Waiting rows={6} /></div>}</Page>;
  }
  return (
    <Page
      title={run.name} crumb={crumb}
      lead={<span className="row"><StatusBadge status={stateOf(run)} /><Subject run={run} whole /><span className="nowrap">{when(run.created)}</span>{run.tags.map((tag) => <span key={tag} className="tag">{tag}</span>)}</span>}
      actions={<>
        <Steady of={buttonsOf(run)}>
        {run.usable && <a className="button" href={href("evaluate", "", { run: run.id })}>{t("run.evaluate")}</a>}
        {run.usable && <a className="button" href={href("chat", "", { run: run.id })}>{t("run.chat")}</a>}
        {run.usable && <a className="button" href={href("export", "", { run: run.id })}>{t("run.export")}</a>}
        </Steady>
        <RunActions run={run} here />
      </>}
    >
      {(training || made || isActive(run.status)) && <Summary run={run} last={(name) => newest.current.values[name] ?? null} />}
      {run.missing.length > 0 && <Note tone="warn"><Message run={run} /></Note>}
      {!isActive(run.status) && run.message && (
        <Note tone={run.status === "stopped" ? "info" : run.status === "killed" ? "warn" : "bad"} action={training ? <a className="button small" href={href("train", "", { run: run.id })}>{t("run.change")}</a> : evaluating && <a className="button small" href={href("evaluate", "", { again: run.id })}>{t("run.change")}</a>}>
          <Message run={run} />
        </Note>
      )}
      {run.status === "failed" && detail.data && <Remedies detail={detail.data} />}
      {detail.data?.warnings.map((warning) => <Note key={warning} tone="warn"><p><Said text={warning} /></p></Note>)}
      {(run.kind === "export" || run.kind === "verify") && run.status === "finished" && <Verdict run={run.id} />}
      {evaluation.data && <RunScores run={run} evaluation={evaluation.data} />}
      <Tabs label={t("run.views")} current={tab} tabs={tabs.map((one) => [one, t(made && one === "curve" ? "run.tab.progress" : `run.tab.${one}`), href("runs", id, { tab: one })])} />
      {tab === "answers" && (evaluation.data ? <RunAnswers key={id} run={run} evaluation={evaluation.data} /> : evaluation.error ? <Failure error={evaluation.error} retry={evaluation.reload} /> : <div className="card"><Waiting rows={8} /></div>)}
      {tab === "curve" && (metrics.error ? <Failure error={metrics.error} retry={metrics.reload} /> : metrics.data ? (
        <>
          <RunCurves key={id} run={run} metrics={metrics.data} zoom={range && { range, part: part.stale ? undefined : part.data }} saved={detail.data?.checkpoints.map((one) => one.step)} onZoom={setRange} csv={url(`runs/${segment(id)}/metrics.csv`)} />
          <Words words={metrics.data.words} />
        </>
      ) : <div className="card"><Waiting rows={8} /></div>)}
      {tab === "rows" && made && <RunRows run={run} name={made} folder={String(detail.data?.asked["dataset_dir"] ?? "data")} />}
      {tab === "log" && <RunLog id={id} log={log} />}
      {tab === "samples" && <RunSamples id={id} />}
      {tab === "config" && (detail.data ? <RunConfig detail={detail.data} /> : <div className="card"><Waiting /></div>)}
      {tab === "files" && (detail.data ? <RunFiles detail={detail.data} run={run} /> : <div className="card"><Waiting /></div>)}
    </Page>
  );
}

const Message = ({ run }: { run: Run }) => <><p><Said text={run.message} /></p>{run.hint && <p><Said text={run.hint} /></p>}</>;
