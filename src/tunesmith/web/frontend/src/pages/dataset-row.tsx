import { useState } from "react";
import { post, put, url, type ApiError } from "../api/client";
import type { Json, Rows, ShownRow } from "../api/types";
import { told } from "../api/use";
import { t } from "../i18n";
import { Dialog } from "../ui/dialog";
import { Button, Failure, Labelled, Note } from "../ui/parts";
import { attempt } from "../ui/toast";
import { missingIn, rowOf, shown, textsOfRow } from "./row-texts";

/** Edits a row by its columns, or, where it can't be read, the text that stands in the file. */
export function RowDialog({ name, folder, row, columns, revision, onClose, onSaved }: { name: string; folder: string; row: ShownRow; columns: string[]; revision: string; onClose: () => void; onSaved: () => void }) {
  const before = row.row;
  const [texts, setTexts] = useState<Record<string, string>>(() => (before ? textsOfRow(before, columns) : {}));
  const [text, setText] = useState(row.text ?? "");
  const [error, setError] = useState<Pick<ApiError, "message" | "hint"> | null>(null);
  const [theirs, setTheirs] = useState<{ row: ShownRow | undefined; revision: string } | null>(null);
  const path = `datasets/${encodeURIComponent(name)}/rows`;
  /** What stands there now, where somebody changed the file meanwhile. */
  const look = async () => {
    const now = await post<Rows>(path, { settings: { dataset_dir: folder }, offset: row.number, limit: 1 });
    return { row: now.rows[0], revision: now.revision };
  };
  const save = async () => {
    let next: { row: Record<string, Json> } | { text: string } = { text };
    if (before) {
      const read = rowOf(before, texts);
      if ("wrong" in read) {
        setError({ message: t("rows.json", { key: read.wrong }), hint: read.why });
        return;
      }
      next = read;
    }
    try {
      await put(url(`${path}/${row.number}`, { dataset_dir: folder }), { ...next, revision: theirs?.revision ?? revision });
      onSaved();
    } catch (reason) {
      const refusal = told(reason);
      setError(refusal);
      if (refusal.field === "revision") await attempt(async () => setTheirs(await look()));
    }
  };
  const lines = (value: string) => Math.min(14, Math.max(2, value.split("\n").length + Math.floor(value.length / 70)));
  return (
    <Dialog title={t("rows.edit", { n: row.number + 1 })} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" disabled={theirs !== null && !theirs.row} onClick={() => void save()}>{theirs ? t("rows.mine") : t("save")}</Button></>}>
      <div className="stack">
        {row.problem && !error && <Note tone="warn"><p>{row.problem}</p></Note>}
        {before ? Object.entries(texts).map(([key, value]) => (
          <Labelled key={key} label={key} help={missingIn(before, key) ? t("rows.missing") : undefined}>{(id) => <textarea id={id} className={before[key] == null || typeof before[key] === "string" ? undefined : "mono"} rows={lines(value)} value={value} onChange={(event) => setTexts({ ...texts, [key]: event.target.value })} />}</Labelled>
        )) : (
          <Labelled label={t("rows.raw")}>{(id) => <textarea id={id} className="mono" rows={lines(text)} value={text} spellCheck={false} onChange={(event) => setText(event.target.value)} />}</Labelled>
        )}
        {error && <Failure error={error} />}
        {theirs && <Note tone="warn" action={<Button small onClick={onClose}>{t("rows.theirs")}</Button>}><p>{t("rows.changed")}</p><p>{theirs.row?.row ? Object.values(theirs.row.row).map((value) => shown(value)).join(" · ") : theirs.row?.text ?? t("rows.gone")}</p></Note>}
      </div>
    </Dialog>
  );
}
