// One stream of news for the whole page: the list of runs, and the metrics and log of the run that is looked at. A closed
// stream is opened anew from the last cursor; where a proxy holds events back, the same news are fetched by polling, until
// the stream gets through: it is tried again now and then, and when the page is looked at again or the network is back.
import { useEffect, useRef, useSyncExternalStore } from "react";
import { useLanguage } from "../i18n";
import { get, spoken, url } from "./client";
import type { Log, Run } from "./types";

export type Row = { step: number } & Record<string, number | null>;
export interface RunNews { id: string; metrics?: Row[]; log?: string[]; reload_metrics?: boolean; reload_log?: boolean; cursor: string }
export interface ListNews { complete: boolean; runs: Run[] }
export type Link = "connecting" | "live" | "polling" | "lost";
interface Polled { cursor: string; events: { type: string; data: unknown }[] }

const DEAF_AFTER = 6_000;
const TRY_AGAIN_AFTER = 60_000;
const MOST_LINES = 6_000;
const watchers = new Set<() => void>();
const followers = new Set<(news: RunNews) => void>();
let link: Link = "connecting";
let runs: Run[] | undefined;
let cursor = "";
let watched: string | null = null;
let source: EventSource | null = null;
let started = false;
let polling = false;
let heardAny = false;
let heardIn = "";
let failures = 0;

const told = () => watchers.forEach((tell) => tell());
const subscribe = (tell: () => void) => {
  start();
  watchers.add(tell);
  return () => void watchers.delete(tell);
};

function setLink(next: Link) {
  if (next !== link) {
    link = next;
    told();
  }
}

/** The list after news of it; a list that is not complete only changes the runs it names. */
export function merged(before: Run[] | undefined, news: ListNews): Run[] {
  if (news.complete || !before) return news.runs;
  const changed = new Map(news.runs.map((run) => [run.id, run]));
  return before.map((run) => changed.get(run.id) ?? run);
}

/** Lines of a log, and the cursor after them. */
export interface LogNews { lines: string[]; cursor: string }

const place = (cursor: string) => cursor.split(".").slice(2).map(Number) as [attempt: number, end: number];
const bytes = new TextEncoder();

/** Whether news are of the same attempt's log. */
export const isOf = (log: Log, news: LogNews) => place(news.cursor)[0] === log.attempt;

/** The log with the news that it does not hold yet: after it was fetched anew, some of them are in it already. */
export function grown(log: Log, news: LogNews): Log {
  const [, end] = place(news.cursor);
  if (!isOf(log, news) || end <= log.offset) return log;
  let first = news.lines.length;
  for (let at = end; first > 0 && at > log.offset; first--) at -= bytes.encode(news.lines[first - 1]).length + 1;
  return { ...log, lines: [...log.lines, ...news.lines.slice(first)].slice(-MOST_LINES), offset: end };
}

function take(type: string, data: unknown) {
  if (type === "runs") {
    runs = merged(runs, data as ListNews);
    told();
  } else if (type === "run") followers.forEach((follow) => follow({ ...(data as RunNews), cursor }));
}

function start() {
  if (started) return;
  started = true;
  heardIn = spoken();
  open();
}

function open() {
  if (polling) return;
  const here = new EventSource(url("events", { cursor, run: watched, language: spoken() }));
  source = here;
  const deaf = setTimeout(() => {
    if (here === source && !heardAny) void poll();
  }, DEAF_AFTER);
  here.onopen = () => {
    failures = 0;
    setLink("live");
  };
  for (const type of ["runs", "run"]) {
    here.addEventListener(type, (event: MessageEvent<string>) => {
      if (here !== source) return;
      clearTimeout(deaf);
      heardAny = true;
      if (event.lastEventId) cursor = event.lastEventId;
      setLink("live");
      take(type, JSON.parse(event.data));
    });
  }
  here.onerror = () => {
    if (here !== source) return;
    clearTimeout(deaf);
    setLink("lost");
    failures += 1;
    if (!heardAny && failures >= 3) {
      void poll();
      return;
    }
    if (here.readyState !== EventSource.CLOSED) return;
    // The browser has given up; after a refused cursor or a server that was away, begin anew.
    if (failures > 2) cursor = "";
    setTimeout(() => here === source && open(), Math.min(5_000, 400 * 2 ** failures));
  };
}

async function poll() {
  if (polling) return;
  source?.close();
  source = null;
  polling = true;
  let tried = Date.now();
  const soon = () => { if (document.visibilityState === "visible") tried = 0; };
  document.addEventListener("visibilitychange", soon);
  addEventListener("online", soon);
  while (polling) {
    if (Date.now() - tried > TRY_AGAIN_AFTER) {
      tried = Date.now();
      void streams().then((through) => { if (through) polling = false; });
    }
    try {
      const { cursor: next, events } = await get<Polled>("poll", { cursor, run: watched });
      cursor = next;
      setLink("polling");
      events.forEach((event) => take(event.type, event.data));
    } catch {
      setLink("lost");
    }
    await new Promise((again) => setTimeout(again, 1_500));
  }
  document.removeEventListener("visibilitychange", soon);
  removeEventListener("online", soon);
  heardAny = true;
  open();
}

/** Whether events get through: a stream without a cursor begins with the list of runs. */
function streams(): Promise<boolean> {
  return new Promise((tell) => {
    const probe = new EventSource(url("events"));
    const end = (through: boolean) => { clearTimeout(timer); probe.close(); tell(through); };
    const timer = setTimeout(() => end(false), DEAF_AFTER);
    probe.addEventListener("runs", () => end(true));
    probe.onerror = () => end(false);
  });
}

function watch(run: string | null, from = "0.0.0") {
  if (run === watched) return;
  watched = run;
  cursor = `${cursor.split(".")[0] || "-"}.${from}`;
  if (!started || polling) return;
  source?.close();
  open();
}

/** What the list says is told anew in another language. */
function speak(language: string) {
  if (!started || language === heardIn) return;
  heardIn = language;
  if (cursor) cursor = `-${cursor.slice(cursor.indexOf("."))}`;
  if (polling) return;
  source?.close();
  open();
}

/** All runs, kept up to date; undefined until they are known. */
export function useRuns() {
  const language = useLanguage();
  useEffect(() => speak(language), [language]);
  return useSyncExternalStore(subscribe, () => runs);
}
export const useLink = () => useSyncExternalStore(subscribe, () => link);

/** Follows one run's metrics and log from a place in its files; null waits until that is known. */
export function useRunNews(run: string, from: string | null, follow: (news: RunNews) => void): void {
  const latest = useRef(follow);
  latest.current = follow;
  const ready = from !== null;
  useEffect(() => {
    if (!ready) return;
    const hear = (news: RunNews) => news.id === run && latest.current(news);
    followers.add(hear);
    start();
    watch(run, from);
    return () => {
      followers.delete(hear);
      if (watched === run) watch(null);
    };
    // Only the first place counts: from there on the stream keeps its own.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [run, ready]);
}
