import { useState } from "react";
import { get, post, remove, url } from "../api/client";
import type { Json, RemovedRow, Rows, ShownRow } from "../api/types";
import { useResource } from "../api/use";
import { number, t } from "../i18n";
import { Button, Empty, Failure, Waiting } from "../ui/parts";
import { attempt, say } from "../ui/toast";
import { RowDialog } from "./dataset-row";
import { shown } from "./row-texts";

const PAGE = 20;

export function RowsView({ name, folder = "data" }: { name: string; folder?: string }) {
  const [offset, setOffset] = useState(0);
  const [editing, setEditing] = useState<ShownRow | null>(null);
  const rows = useResource<Rows>(`${folder}/${name}@${offset}`, (signal) => post(`datasets/${encodeURIComponent(name)}/rows`, { settings: { dataset_dir: folder }, offset, limit: PAGE }, signal));
  const takeOut = (row: ShownRow) => attempt(async () => {
    await remove(url(`datasets/${encodeURIComponent(name)}/rows/${row.number}`, { revision: rows.data!.revision, dataset_dir: folder }));
  }, t("rows.removed", { n: row.number + 1 })).then(rows.reload);
  if (rows.error) return <Failure error={rows.error} retry={rows.reload} />;
  if (!rows.data) return <div className="card"><Waiting rows={8} /></div>;
  const list = rows.data.rows;
  return (
    <>
    <section className="card flush" aria-busy={rows.loading}>
      {rows.data.problem && <div style={{ padding: "var(--s4) var(--s5)" }}><Failure error={rows.data.problem} /></div>}
      {list.length === 0 && <Empty icon="data" title={t("rows.empty")} />}
      <ol className="list" inert={rows.stale}>
        {list.map((row) => (
          <li key={row.number} className="data-row">
            <div className="row apart">
              <span className="muted small">{t("rows.number", { n: row.number + 1 })}</span>
              {rows.data!.editable && <span className="row">
                {(row.row ?? row.text) !== null && <Button small kind="quiet" icon="edit" title={t("rows.edit", { n: row.number + 1 })} onClick={() => setEditing(row)} />}
                <Button small kind="quiet" icon="trash" title={t("rows.remove", { n: row.number + 1 })} onClick={() => void takeOut(row)} />
              </span>}
            </div>
            {row.problem && <p className="problem small bad">{row.problem}</p>}
            {row.row ? <Values row={row.row} /> : <pre>{row.text}</pre>}
          </li>
        ))}
      </ol>
      <footer className="row apart" style={{ padding: "var(--s3) var(--s5)", borderTop: "1px solid var(--line)" }}>
        <Button small icon="back" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE))}>{t("rows.previous")}</Button>
        <span className="muted small">{list.length ? t("rows.range", { from: number(offset + 1), to: number(offset + list.length) }) : ""}</span>
        <Button small after="next" disabled={list.length < PAGE} onClick={() => setOffset(offset + PAGE)}>{t("rows.next")}</Button>
      </footer>
      {editing && <RowDialog name={name} folder={folder} row={editing} columns={rows.data.columns} revision={rows.data.revision} onClose={() => { setEditing(null); rows.reload(); }} onSaved={() => { setEditing(null); rows.reload(); say(t("rows.saved")); }} />}
    </section>
    {rows.data.editable && <TakenOut name={name} folder={folder} revision={rows.data.revision} onBack={rows.reload} />}
    </>
  );
}

/** Rows that were taken out, each to be put back with a click. */
function TakenOut({ name, folder, revision, onBack }: { name: string; folder: string; revision: string; onBack: () => void }) {
  const path = `datasets/${encodeURIComponent(name)}`;
  const removed = useResource<RemovedRow[]>(`${folder}/${name}#${revision}`, (signal) => get(`${path}/removed`, { dataset_dir: folder }, signal));
  const back = (row: RemovedRow) => attempt(async () => {
    await post(url(`${path}/restore`, { dataset_dir: folder }), { file: row.file, line: row.line, revision });
    onBack();
  }, t("rows.back.done"));
  if (!removed.data?.length) return null;
  return (
    <section className="card flush">
      <header><h2>{t("rows.out")}</h2></header>
      <ol className="list">{removed.data.map((row) => (
        <li key={row.line} className="data-row"><div className="row apart" style={{ flexWrap: "nowrap" }}><p className="muted clip">{Object.values(row.row).map((value) => shown(value)).join(" · ")}</p><Button small onClick={() => void back(row)}>{t("rows.back")}</Button></div></li>
      ))}</ol>
    </section>
  );
}

/** What a job of authoring tells of where a row comes from; it is never trained on. */
const ORIGIN = /^(source(_\w+)?|chunk|style|evidence(_\w+)?|grounding|model|prompt|judge_\w+|role|speaker|asked_by|scene|attribution)$/;

function Values({ row }: { row: Record<string, Json> }) {
  const entries = Object.entries(row).filter(([, value]) => value !== null && value !== "");
  const origin = "source_start" in row ? entries.filter(([key]) => ORIGIN.test(key)) : [];
  const pairs = (list: [string, Json][]) => <dl className="pairs">{list.map(([key, value]) => <div key={key}><dt className="mono">{key}</dt><dd className="text">{shown(value)}</dd></div>)}</dl>;
  return (
    <>
      {pairs(entries.filter((entry) => !origin.includes(entry)))}
      {origin.length > 0 && <details className="muted small"><summary>{[row["source"], row["source_heading"]].filter(Boolean).join(" · ") || t("rows.origin")}</summary>{pairs(origin)}</details>}
    </>
  );
}
