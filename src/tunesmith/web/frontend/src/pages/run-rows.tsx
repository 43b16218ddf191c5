import { useState } from "react";
import { get, post, segment } from "../api/client";
import type { AuthoringRow } from "../api/types";
import { useResource } from "../api/use";
import { number, t } from "../i18n";
import { Button, Empty, Failure, Waiting } from "../ui/parts";
import { attempt } from "../ui/toast";

interface Made { rows: AuthoringRow[]; total: number; tokens?: number; cost?: number }
const PAGE = 20;

/** The rows that a job of authoring has written, to take or leave. */
export function RunRows({ id, step }: { id: string; step: number }) {
  const [offset, setOffset] = useState(0);
  const made = useResource<Made>(`${id}@${offset}#${step}`, (signal) => get(`authoring/${segment(id)}/rows`, { offset, limit: PAGE }, signal));
  const judge = (row: AuthoringRow, accept: boolean) => attempt(async () => { await post(`authoring/${segment(id)}/rows/${row.n}`, { accept }); made.reload(); });
  if (made.error) return <Failure error={made.error} retry={made.reload} />;
  if (!made.data) return <div className="card"><Waiting rows={6} /></div>;
  const { rows, total, tokens, cost } = made.data;
  return (
    <section className="card flush">
      <header className="row"><h2>{t("made.title", { n: total })}</h2><span className="muted small">{tokens ? t("made.tokens", { n: tokens }) : ""}{cost ? ` · ${number(cost, 2)}` : ""}</span></header>
      {rows.length === 0 && <Empty icon="data" title={t("made.empty")} />}
      <ol className="list">
        {rows.map((row) => (
          <li key={row.n} className="data-row">
            <div className="row apart">
              <span className="muted small clip">{t("rows.number", { n: row.n + 1 })} · {row.source}</span>
              <span className="row">
                {row.accepted === false && <span className="badge" data-tone="bad">{t("made.refused")}</span>}
                <Button small kind="quiet" icon="check" title={t("made.accept")} aria-pressed={row.accepted === true} onClick={() => void judge(row, true)} />
                <Button small kind="quiet" icon="close" title={t("made.refuse")} aria-pressed={row.accepted === false} onClick={() => void judge(row, false)} />
              </span>
            </div>
            {row.reason && <p className="small warn">{row.reason}</p>}
            <dl className="pairs">{Object.entries((row.row ?? {}) as Record<string, unknown>).filter(([, value]) => value).map(([key, value]) => <div key={key}><dt className="mono">{key}</dt><dd className="text">{typeof value === "string" ? value : JSON.stringify(value)}</dd></div>)}</dl>
          </li>
        ))}
      </ol>
      <footer className="row apart" style={{ padding: "var(--s3) var(--s5)", borderTop: "1px solid var(--line)" }}>
        <Button small icon="back" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE))}>{t("rows.previous")}</Button>
        <Button small icon="next" disabled={offset + PAGE >= total} onClick={() => setOffset(offset + PAGE)}>{t("rows.next")}</Button>
      </footer>
    </section>
  );
}
