import { useState } from "react";
import { post } from "../api/client";
import { useRuns } from "../api/events";
import { isActive, stateOf, type Run } from "../api/types";
import { duration, measure, percent, t, when } from "../i18n";
import { href } from "../router";
import { Bar, Button, Empty, Page, Pick, Search, StatusBadge, Waiting } from "../ui/parts";
import { Said } from "../ui/said";
import { attempt } from "../ui/toast";
import { RunActions } from "./run-actions";
import { Subject } from "./run-summary";

const FILTERS = ["all", "active", "finished", "early", "failed"] as const;
type Filter = (typeof FILTERS)[number];

const HEADS = [["runs.head.pick", "pick"], ["runs.head.name", "name"], ["runs.head.state", "state"], ["run.loss", "loss"], ["runs.head.when", "when"], ["runs.head.actions", "actions"]] as const;

export function RunsPage() {
  const runs = useRuns();
  const [query, setQuery] = useState("");
  const [filter, setFilter] = useState<Filter>("all");
  const [tag, setTag] = useState<string | null>(null);
  const [chosen, setChosen] = useState<string[]>([]);
  const tags = [...new Set((runs ?? []).flatMap((run) => run.tags))].sort();
  const shown = (runs ?? []).filter((run) => passes(run, filter) && (!tag || run.tags.includes(tag)) && mentions(run, query));
  const picked = chosen.filter((id) => runs?.some((run) => run.id === id));
  const choose = (id: string, on: boolean) => setChosen(on ? [...picked, id] : picked.filter((one) => one !== id));
  return (
    <Page title={t("runs.title")} lead={t("runs.lead")} actions={<a className="button primary" href={href("train")}>{t("runs.new")}</a>}>
      {runs && runs.length > 0 && (
        <div className="row">
          <Search value={query} onChange={setQuery} label={t("runs.search")} />
          <Pick label={t("runs.filter")} value={filter} onChange={setFilter} options={FILTERS.map((one) => [one, t(`runs.filter.${one}`)])} />
          {tags.map((one) => <button key={one} type="button" className="tag" aria-pressed={tag === one} onClick={() => setTag(tag === one ? null : one)}>{one}</button>)}
        </div>
      )}
      <section className="card flush" aria-label={t("runs.title")}>
        {!runs && <Waiting rows={5} />}
        {runs?.length === 0 && (
          <Empty icon="runs" title={t("runs.empty")} actions={<><a className="button primary" href={href("train")}>{t("runs.new")}</a><a className="button" href={href("data")}>{t("runs.empty.data")}</a></>}>
            {t("runs.empty.text")}
          </Empty>
        )}
        {runs && runs.length > 0 && shown.length === 0 && <Empty icon="search" title={t("runs.none")}>{t("runs.none.text")}</Empty>}
        {shown.length > 0 && (
          <div className="list" role="table" aria-label={t("runs.title")}>
            <div className="run head" role="row">
              {HEADS.map(([head, name]) => <span key={name} className={`run-${name}`} role="columnheader"><span className={name === "pick" || name === "actions" ? "visually-hidden" : undefined}>{t(head)}</span></span>)}
            </div>
            {shown.map((run) => <RunRow key={run.id} run={run} all={runs!} chosen={picked.includes(run.id)} choose={(on) => choose(run.id, on)} />)}
          </div>
        )}
      </section>
      {picked.length > 0 && (
        <div className="picked" role="group" aria-label={t("runs.head.pick")}>
          {picked.length > 1 ? <a className="button primary" href={href("compare", "", { run: picked })}>{t("runs.compare", { n: picked.length })}</a> : <span>{t("runs.compare.more")}</span>}
          <Button kind="quiet" icon="close" title={t("runs.compare.none")} onClick={() => setChosen([])} />
        </div>
      )}
    </Page>
  );
}

function passes(run: Run, filter: Filter): boolean {
  if (filter === "active") return isActive(run.status);
  if (filter === "early") return run.status === "stopped" || run.status === "killed";
  return filter === "all" || run.status === filter;
}

const mentions = (run: Run, query: string) =>
  query.toLowerCase().split(/\s+/).every((word) => `${run.id} ${run.name} ${run.kind} ${run.of} ${run.model} ${run.tags.join(" ")}`.toLowerCase().includes(word));

function RunRow({ run, all, chosen, choose }: { run: Run; all: Run[]; chosen: boolean; choose: (on: boolean) => void }) {
  const queue = all.filter((one) => one.status === "queued" && one.queue_position !== null);
  const place = queue.findIndex((one) => one.id === run.id);
  const move = (by: number) => {
    const seen = queue.map((one) => one.id);
    const ids = [...seen];
    ids.splice(place + by, 0, ...ids.splice(place, 1));
    void attempt(() => post("queue/order", { ids, seen }));
  };
  const busy = isActive(run.status) && run.status !== "queued";
  return (
    <div className="run" role="row">
      <div className="run-pick" role="cell"><input type="checkbox" checked={chosen} onChange={(event) => choose(event.target.checked)} aria-label={t("runs.choose", { name: run.name })} /></div>
      <div className="run-name" role="rowheader">
        <a href={href("runs", run.id)} title={run.id}>{run.name}</a>
        <p className="muted small">
          <Subject run={run} />
          {run.tags.map((tag) => <span key={tag} className="tag">{tag}</span>)}
        </p>
      </div>
      <div className="run-state" role="cell">
        <StatusBadge status={stateOf(run)} />
        {busy && <Bar value={run.progress} label={t("run.progress", { name: run.name })} />}
        {busy && <span className="muted small nowrap run-eta">{run.progress === null ? "" : percent(run.progress)}{run.eta !== null && ` · ${t("run.left", { time: duration(run.eta) })}`}{run.stage && ` · ${run.stage}`}</span>}
        {run.queue_position !== null && <span className="muted small">{t("run.place", { place: run.queue_position })}</span>}
        {!busy && run.status !== "queued" && run.started !== null && run.ended !== null && <span className="muted small nowrap">{duration(run.ended - run.started)}</span>}
      </div>
      <div className="run-loss" role="cell" data-none={run.last_loss === null || undefined}>
        <span className="muted small" aria-hidden="true">{t("run.loss")}</span>
        <strong>{run.last_loss === null ? "–" : measure(run.last_loss)}</strong>
      </div>
      {!busy && run.message && <p className="run-said muted small" role="cell"><Said text={run.message} /></p>}
      <div className="run-foot">
        <span className="run-when muted small" role="cell">{when(run.created)}</span>
        <div className="run-actions" role="cell">
          {place > 0 && <Button small kind="quiet" icon="up" title={t("run.earlier")} onClick={() => move(-1)} />}
          {place >= 0 && place < queue.length - 1 && <Button small kind="quiet" icon="down" title={t("run.later")} onClick={() => move(1)} />}
          <RunActions run={run} small />
        </div>
      </div>
    </div>
  );
}
