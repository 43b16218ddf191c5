import { useState } from "react";
import { post, put, remove, url } from "../api/client";
import type { Json, Rows, ShownRow } from "../api/types";
import { told, useResource } from "../api/use";
import type { ApiError } from "../api/client";
import { number, t } from "../i18n";
import { Dialog } from "../ui/dialog";
import { Button, Empty, Failure, Labelled, Note, Waiting } from "../ui/parts";
import { attempt, say } from "../ui/toast";

const PAGE = 20;

export function RowsView({ name, folder = "data" }: { name: string; folder?: string }) {
  const [offset, setOffset] = useState(0);
  const [editing, setEditing] = useState<ShownRow | null>(null);
  const rows = useResource<Rows>(`${folder}/${name}@${offset}`, (signal) => post(`datasets/${encodeURIComponent(name)}/rows`, { settings: { dataset_dir: folder }, offset, limit: PAGE }, signal));
  const takeOut = (row: ShownRow) => attempt(async () => {
    await remove(url(`datasets/${encodeURIComponent(name)}/rows/${row.number}`, { revision: rows.data!.revision, dataset_dir: folder }));
    rows.reload();
  }, t("rows.removed", { n: row.number + 1 }));
  if (rows.error) return <Failure error={rows.error} retry={rows.reload} />;
  if (!rows.data) return <div className="card"><Waiting rows={8} /></div>;
  const list = rows.data.rows;
  return (
    <section className="card flush" aria-busy={rows.loading}>
      {rows.data.problem && <div style={{ padding: "var(--s4) var(--s5)" }}><Note tone="bad"><p>{rows.data.problem.message}</p><p>{rows.data.problem.hint}</p></Note></div>}
      {list.length === 0 && <Empty icon="data" title={t("rows.empty")} />}
      <ol className="list">
        {list.map((row) => (
          <li key={row.number} className="data-row">
            <div className="row apart">
              <span className="muted small">{t("rows.number", { n: row.number + 1 })}</span>
              {rows.data!.editable && <span className="row">
                <Button small kind="quiet" icon="edit" title={t("rows.edit", { n: row.number + 1 })} onClick={() => setEditing(row)} />
                <Button small kind="quiet" icon="trash" title={t("rows.remove", { n: row.number + 1 })} onClick={() => void takeOut(row)} />
              </span>}
            </div>
            {row.problem && <p className="problem small bad">{row.problem}</p>}
            {row.row ? <dl className="pairs">{Object.entries(row.row).filter(([, value]) => value !== null && value !== "").map(([key, value]) => <div key={key}><dt className="mono">{key}</dt><dd className="text">{shown(value)}</dd></div>)}</dl> : <pre>{row.text}</pre>}
          </li>
        ))}
      </ol>
      <footer className="row apart" style={{ padding: "var(--s3) var(--s5)", borderTop: "1px solid var(--line)" }}>
        <Button small icon="back" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE))}>{t("rows.previous")}</Button>
        <span className="muted small">{list.length ? t("rows.range", { from: number(offset + 1), to: number(offset + list.length) }) : ""}</span>
        <Button small icon="next" disabled={list.length < PAGE} onClick={() => setOffset(offset + PAGE)}>{t("rows.next")}</Button>
      </footer>
      {editing && <RowDialog name={name} folder={folder} row={editing} revision={rows.data.revision} onClose={() => setEditing(null)} onSaved={() => { setEditing(null); rows.reload(); say(t("rows.saved")); }} />}
    </section>
  );
}

const shown = (value: Json) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

function RowDialog({ name, folder, row, revision, onClose, onSaved }: { name: string; folder: string; row: ShownRow; revision: string; onClose: () => void; onSaved: () => void }) {
  const before = row.row ?? {};
  const [texts, setTexts] = useState<Record<string, string>>(() => Object.fromEntries(Object.entries(before).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value, null, 2)])));
  const [error, setError] = useState<Pick<ApiError, "message" | "hint"> | null>(null);
  const save = async () => {
    const next: Record<string, Json> = {};
    for (const [key, text] of Object.entries(texts)) {
      try {
        next[key] = typeof before[key] === "string" ? text : (JSON.parse(text) as Json);
      } catch (reason) {
        setError({ message: t("rows.json", { key }), hint: (reason as Error).message });
        return;
      }
    }
    try {
      await put(url(`datasets/${encodeURIComponent(name)}/rows/${row.number}`, { dataset_dir: folder }), { row: next, revision });
      onSaved();
    } catch (reason) {
      setError(told(reason));
    }
  };
  return (
    <Dialog title={t("rows.edit", { n: row.number + 1 })} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" onClick={() => void save()}>{t("save")}</Button></>}>
      <div className="stack">
        {Object.entries(texts).map(([key, text]) => (
          <Labelled key={key} label={key}>{(id) => <textarea id={id} className={typeof before[key] === "string" ? undefined : "mono"} rows={Math.min(14, Math.max(2, text.split("\n").length + Math.floor(text.length / 70)))} value={text} onChange={(event) => setTexts({ ...texts, [key]: event.target.value })} />}</Labelled>
        ))}
        {error && <Failure error={error} />}
      </div>
    </Dialog>
  );
}
