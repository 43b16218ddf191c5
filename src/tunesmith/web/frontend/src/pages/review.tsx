import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { get, put, segment } from "../api/client";
import { isActive, type Made, type MadeRow, type Run } from "../api/types";
import { useKept, useResource, useRested } from "../api/use";
import { number, t } from "../i18n";
import { Button, Empty, Failure, Pick, Search, Waiting } from "../ui/parts";
import { attempt } from "../ui/toast";
import { pauseBefore } from "./reloading";
import { ReviewRow, type Verdict, type Words } from "./review-row";
import { useWriting, WritingNote } from "./review-writing";

const PAGE = 20;
const STATES = ["", "kept", "held", "decided"] as const;
/** What was decided here since the server last told the rows. */
type Decided = Record<string, { verdict: Verdict } & Partial<Words>>;

/** Rows that a model wrote, as they come: each is accepted, rejected or corrected with a click or a key. */
export function Review({ run }: { run: Run }) {
  const active = isActive(run.status);
  const [state, setState] = useState<(typeof STATES)[number]>("");
  const [query, setQuery] = useState("");
  const [newest, setNewest] = useKept("review.newest", false);
  const [offset, setOffset] = useState(0);
  const [decided, setDecided] = useState<Decided>({});
  const [editing, setEditing] = useState<string | null>(null);
  const words = useRested(query.trim(), 300);
  const made = useResource<Made>(`${run.id}?${state}&${words}&${offset}&${newest}&${active}`, (signal) => get(`runs/${segment(run.id)}/made`, { state, query: words, offset, limit: PAGE, newest }, signal));
  const writing = useWriting(run.id, !active && made.data?.written === true, made.reload);
  useReloading(run, made.reload, made.loading || editing !== null);
  const told = made.data;
  useEffect(() => setDecided((now) => stillOpen(now, told)), [told]);
  const list = useRef<HTMLOListElement>(null);

  const rows = (told?.rows ?? []).map((row) => shownAs(row, decided[row.key]));
  const decide = async (row: MadeRow, verdict: Verdict, own?: Words) => {
    const next = { verdict, ...(own ?? {}) };
    setDecided((now) => ({ ...now, [row.key]: next }));
    const done = await attempt(() => put(`runs/${segment(run.id)}/made/${row.key}`, next));
    if (done) writing.later();
    else setDecided(({ [row.key]: _, ...rest }) => rest);
    if (done && verdict === "open") made.reload();
  };
  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.target as HTMLElement).matches("input, textarea")) return;
    const items = [...(list.current?.children ?? [])] as HTMLElement[];
    const at = items.findIndex((item) => item.contains(event.target as Node));
    const row = rows[at];
    const go = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (go) items[at + go]?.focus();
    else if (row && event.key === "a") void decide(row, "accepted", wordsOf(row, told));
    else if (row && event.key === "r") void decide(row, "rejected", wordsOf(row, told));
    else if (row && event.key === "u" && row.by_hand) void decide(row, "open");
    else if (row && event.key === "e") setEditing(row.key);
    else return;
    event.preventDefault();
    if (event.key === "a" || event.key === "r") items[at + 1]?.focus();
  };
  const pick = (next: (typeof STATES)[number]) => { setState(next); setOffset(0); };
  const count = { "": (told?.kept ?? 0) + (told?.held ?? 0), kept: told?.kept ?? 0, held: told?.held ?? 0, decided: told?.decided ?? 0 };
  return (
    <section className="card flush" aria-label={t("run.tab.rows")} aria-busy={made.loading}>
      <div className="row review-bar">
        <Pick label={t("review.which")} value={state} onChange={pick} options={STATES.map((one) => [one, `${t(`review.state.${one || "all"}`)} ${number(count[one])}`] as const)} />
        <Search value={query} onChange={(text) => { setQuery(text); setOffset(0); }} label={t("review.search")} />
        <label className="row small muted"><input type="checkbox" checked={newest} onChange={(event) => { setNewest(event.target.checked); setOffset(0); }} />{t("review.newest")}</label>
        <p className="muted small" role="status">{writing.busy ? t("review.writing") : <span className="keys">{t("review.keys")}</span>}</p>
      </div>
      <WritingNote writing={writing} waiting={Math.max(told?.unwritten ?? 0, Object.keys(decided).length)} later={active || told?.written === false} />
      {made.error && <div style={{ padding: "0 var(--s5) var(--s5)" }}><Failure error={made.error} retry={made.reload} /></div>}
      {!told && !made.error && <Waiting rows={8} />}
      {told && rows.length === 0 && made.stale && !made.error && <Waiting rows={8} />}
      {told && rows.length === 0 && !made.stale && (state || words ? <Empty icon="search" title={t("review.nothing")} /> : <Empty icon="data" title={t("review.none")}>{active ? t("review.none.soon") : t("review.none.text")}</Empty>)}
      <ol className="list" ref={list} onKeyDown={keys}>
        {rows.map((row) => (
          <ReviewRow key={row.key} row={row} editing={editing === row.key} onEdit={(on) => setEditing(on ? row.key : null)}
            onDecide={(verdict, own) => void decide(row, verdict, own ?? (verdict === "open" ? undefined : wordsOf(row, told)))} />
        ))}
      </ol>
      {told && told.fitting > 0 && (
        <footer className="row apart" style={{ padding: "var(--s3) var(--s5)", borderTop: "1px solid var(--line)" }}>
          <Button small icon="back" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE))}>{t("rows.previous")}</Button>
          <span className="muted small">{t("review.range", { from: offset + 1, to: offset + rows.length, all: told.fitting })}</span>
          <Button small after="next" disabled={offset + PAGE >= told.fitting} onClick={() => setOffset(offset + PAGE)}>{t("rows.next")}</Button>
        </footer>
      )}
    </section>
  );
}

/** The words that a person gave a row stay with it when it is accepted or rejected afterwards. */
function wordsOf(row: MadeRow, told: Made | undefined): Words | undefined {
  const before = told?.rows.find((one) => one.key === row.key);
  const changed = row.by_hand || row.question !== before?.question || row.answer !== before?.answer;
  return changed ? { question: row.question, answer: row.answer } : undefined;
}

/** Decisions that what the server told does not have yet: it may have been told before they were taken. */
function stillOpen(decided: Decided, told: Made | undefined): Decided {
  const rows = new Map((told?.rows ?? []).map((row) => [row.key, row]));
  return Object.fromEntries(Object.entries(decided).filter(([key, { verdict }]) => {
    const row = rows.get(key);
    return row && (verdict === "open" ? row.by_hand : !row.by_hand || (row.kind !== "") !== (verdict === "rejected"));
  }));
}

function shownAs(row: MadeRow, own: Decided[string] | undefined): MadeRow {
  if (!own) return row;
  const { verdict, ...words } = own;
  if (verdict === "open") return { ...row, by_hand: false };
  return { ...row, ...words, by_hand: true, kind: verdict === "rejected" ? "by hand" : "", reason: "" };
}

/** While the job is at work its rows are asked for again as its answers come, never faster than they can be told; answers
 * that follow each other sooner than that don't put it off. That it ended is a key of its own. */
function useReloading(run: Run, reload: () => void, busy: boolean) {
  const shown = useRef({ step: run.step, at: 0 });
  useEffect(() => {
    if (busy || shown.current.step === run.step || !isActive(run.status)) return;
    const timer = setTimeout(() => { shown.current = { step: run.step, at: performance.now() }; reload(); }, pauseBefore(shown.current.at, performance.now()));
    return () => clearTimeout(timer);
  }, [run.step, busy, reload, run.status]);
}
