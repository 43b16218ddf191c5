import { useState } from "react";
import { get } from "../api/client";
import { isActive, type Json, type Run } from "../api/types";
import { useResource } from "../api/use";
import { t } from "../i18n";
import { href } from "../router";
import { Button, Empty, Waiting } from "../ui/parts";
import { RowsView } from "./dataset-rows";
import { Review } from "./review";

const MOST = 1000;
interface Rejected { rows: { [key: string]: Json }[]; more: boolean }

/** What a job of authoring made: the rows, each to keep or to take out, and those that it held back, with the reasons. */
export function RunRows({ run, name, folder }: { run: Run; name: string; folder: string }) {
  const links = !isActive(run.status) && <div className="row"><a className="button" href={href("dataset", name)}>{t("made.open")}</a><a className="button" href={href("train", "", { dataset: name })}>{t("data.train")}</a></div>;
  if (run.kind === "data make") return <>{links}<Review run={run} /></>;
  return <>{links}<Converted run={run} name={name} folder={folder} /></>;
}

function Converted({ run, name, folder }: { run: Run; name: string; folder: string }) {
  const [most, setMost] = useState(20);
  const rejected = useResource<Rejected>(`${name}#${run.status}#${most}`, (signal) => get(`authoring/rejected/${encodeURIComponent(name)}`, { dataset_dir: folder, limit: most }, signal));
  if (isActive(run.status)) return <div className="card"><Empty icon="data" title={t("made.soon")}>{t("made.soon.text")}</Empty></div>;
  return (
    <>
      <RowsView name={name} folder={folder} />
      {!rejected.data && !rejected.error && <div className="card"><Waiting rows={3} /></div>}
      {rejected.data && rejected.data.rows.length > 0 && (
        <section className="card flush">
          <header><h2>{t("made.refused")}</h2></header>
          <ol className="list">{rejected.data.rows.map((row, n) => (
            <li key={n} className="data-row"><p className="strong">{String(row["reason"] ?? "")}</p><dl className="pairs">{Object.entries(row).filter(([key, value]) => key !== "reason" && value !== null && value !== "").map(([key, value]) => <div key={key}><dt className="mono">{key}</dt><dd className="text">{typeof value === "string" ? value : JSON.stringify(value)}</dd></div>)}</dl></li>
          ))}</ol>
          {rejected.data.more && most < MOST && <footer className="row pager"><Button small busy={rejected.loading} onClick={() => setMost(Math.min(MOST, most * 5))}>{t("made.more")}</Button></footer>}
        </section>
      )}
    </>
  );
}
