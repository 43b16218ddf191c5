import { useRef, useState } from "react";
import { get, segment } from "../api/client";
import { isActive, type Evaluation, type Predictions, type Run } from "../api/types";
import { useKept, useResource, useRested } from "../api/use";
import { t } from "../i18n";
import { Pager } from "../ui/pager";
import { Empty, Failure, Pick, Search, Waiting } from "../ui/parts";
import { AnswerRow } from "./answer-row";

const PAGE = 20;
const SORTS = ["order", "worst", "best"] as const;

/** Each question with the answer in the data and the model's, to search and to sort by how good they are. */
export function RunAnswers({ run, evaluation }: { run: Run; evaluation: Evaluation }) {
  const [offset, setOffset] = useState(0);
  const [query, setQuery] = useState("");
  const [sort, setSort] = useState<(typeof SORTS)[number]>("order");
  const [marked, setMarked] = useKept("evaluation.marked", true);
  const list = useRef<HTMLElement>(null);
  const search = useRested(query.trim(), 300);
  // In the order of the data new answers come at the end; in another they would move what is being read.
  const news = sort === "order" ? evaluation.answered + evaluation.failed : run.status;
  const page = useResource<Predictions>(`${run.id}?${offset}&${sort}&${news}&${search}`, (signal) => get(`runs/${segment(run.id)}/predictions`, { offset, limit: PAGE, search, sort }, signal));
  const turn = (next: number) => { setOffset(next); list.current?.scrollIntoView(); list.current?.focus({ preventScroll: true }); };
  if (!evaluation.predicts) return <div className="card"><Empty icon="evaluate" title={t("evaluation.loss")}>{t("evaluation.loss.text")}</Empty></div>;
  if (page.error) return <Failure error={page.error} retry={page.reload} />;
  if (!page.data) return <div className="card"><Waiting rows={8} /></div>;
  const { rows, total } = page.data;
  return (
    <section className="card flush answers" ref={list} tabIndex={-1} aria-label={t("run.tab.answers")} aria-busy={page.loading}>
      <header>
        <Search value={query} onChange={(text) => { setQuery(text); setOffset(0); }} label={t("evaluation.search")} />
        <Pick label={t("evaluation.sort")} value={sort} onChange={(next) => { setSort(next); setOffset(0); }} options={SORTS.map((one) => [one, t(`evaluation.sort.${one}`)])} />
        <label className="row small"><input type="checkbox" checked={marked} onChange={(event) => setMarked(event.target.checked)} />{t("evaluation.marked")}</label>
      </header>
      {rows.length === 0 && (search
        ? <Empty icon="search" title={t("evaluation.none")}>{t("evaluation.none.text")}</Empty>
        : <Empty icon="evaluate" title={t("evaluation.empty")}>{isActive(run.status) ? t("evaluation.empty.soon") : t("evaluation.empty.never")}</Empty>)}
      <ol className="list">{rows.map((row) => <AnswerRow key={row.index} row={row} marked={marked} />)}</ol>
      {total > 0 && <Pager offset={offset} count={rows.length} total={total} size={PAGE} onGo={turn} />}
    </section>
  );
}
