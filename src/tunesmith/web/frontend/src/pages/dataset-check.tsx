import { useState } from "react";
import { post, put } from "../api/client";
import type { Look } from "../api/types";
import type { Resource } from "../api/use";
import { bytes, named, number, t } from "../i18n";
import { Button, Failure, Labelled, Note, Waiting } from "../ui/parts";
import { Said } from "../ui/said";
import { attempt } from "../ui/toast";
import { columnOf, isClearable, ROLES, rolesOf, toSave, type Columns } from "./reading";

export function Check({ name, look }: { name: string; look: Resource<Look> }) {
  if (look.error) return <Failure error={look.error} retry={look.reload} />;
  if (!look.data) return <div className="card"><Waiting rows={6} /></div>;
  // A choice is of what was read: once that is another, what it was chosen from is gone.
  const { format, columns, told, problem } = look.data;
  return <Checked key={JSON.stringify([format, columns, told, problem])} name={name} look={look.data} again={look.reload} />;
}

function Checked({ name, look, again }: { name: string; look: Look; again: () => void }) {
  const reading = useReading(name, look, again);
  const refused = look.rows - look.usable;
  return (
    <>
      {reading.changed ? <Note><p>{t("dataset.unsaved")}</p></Note> : <Findings name={name} look={look} again={again} reading={reading} />}
      <ReadingCard look={look} reading={reading} />
      {refused > 0 && (
        <section className="card flush">
          <header><h2>{t("dataset.reasons")}</h2></header>
          <div className="scroll"><table className="table">
            <thead><tr><th>{t("dataset.line")}</th><th>{t("dataset.reason")}</th></tr></thead>
            <tbody>{look.refusals.slice(0, 100).map((row) => <tr key={`${row.file}${row.line}`}><td className="nowrap"><span className="muted small">{row.file.split("/").at(-1)}:</span>{row.line}</td><td>{row.reason}</td></tr>)}</tbody>
          </table></div>
        </section>
      )}
      <section className="card">
        <header><h2>{t("dataset.files")}</h2></header>
        <dl className="pairs">{look.files.map((file) => <div key={file.path}><dt className="mono">{file.path}</dt><dd>{[bytes(file.bytes), file.encoding].filter(Boolean).join(" · ")}</dd></div>)}</dl>
      </section>
    </>
  );
}

function Findings({ name, look, again, reading }: { name: string; look: Look; again: () => void; reading: Choice }) {
  const fix = (what: string) => attempt(async () => {
    await post(`datasets/${encodeURIComponent(name)}/fix`, { fix: what, revision: look.revision });
    again();
  }, t("dataset.fixed"));
  const refused = look.rows - look.usable;
  return (
    <>
      {look.problem && <Unreadable look={look} reading={reading} />}
      {!look.problem && refused === 0 && <Note tone="good"><p>{t("dataset.allgood", { n: look.usable })}</p></Note>}
      {refused > 0 && <Note tone="warn" action={<Button small onClick={() => void fix("refused")}>{t("dataset.fix.refused")}</Button>}><p>{t("dataset.refused", { n: refused })}</p><p>{t("dataset.refused.text")}</p></Note>}
      {look.duplicates > 0 && <Note tone="info" action={<Button small onClick={() => void fix("duplicates")}>{t("dataset.fix.duplicates")}</Button>}><p>{t("dataset.duplicates", { n: look.duplicates })}</p></Note>}
      {look.near_duplicates > 0 && <Note><p>{t("dataset.near", { n: look.near_duplicates })}</p></Note>}
      {look.contradictions > 0 && <Note tone="warn"><p>{t("dataset.contradictions", { n: look.contradictions })}</p></Note>}
      {look.unasked > 0 && <Note tone="warn"><p>{t("dataset.unasked", { n: look.unasked })}</p><p className="muted">{look.unasked_at.join(" · ")}{look.unasked > look.unasked_at.length ? " …" : ""}</p></Note>}
      {look.notes.map((note) => <Note key={note}><p><Said text={note} /></p></Note>)}
      {Object.keys(look.placeholders).length > 0 && <Note tone="warn"><p><Said text={t("dataset.placeholders", { names: Object.keys(look.placeholders).join(", ") })} /></p></Note>}
    </>
  );
}

/** Why it can't be read; where a choice of columns would help, with the likeliest one a click away. */
function Unreadable({ look, reading }: { look: Look; reading: Choice }) {
  const { prompt, response } = look.guess;
  if (!prompt || !response) return <Failure error={look.problem!} />;
  return (
    <Note tone="bad">
      <p>{look.problem!.message}</p>
      <p>{t("dataset.guess")}</p>
      <p><Button small onClick={() => reading.take("alpaca", { prompt, response })}>{t("dataset.guess.take", { question: prompt, answer: response })}</Button></p>
    </Note>
  );
}

/** Which format a data set has and which column is what, as it is chosen. */
function useReading(name: string, look: Look, again: () => void) {
  const [format, setFormat] = useState(look.format ?? "alpaca");
  const [columns, setColumns] = useState<Columns>(look.columns);
  const given = (all: Columns) => JSON.stringify(Object.entries(all).filter(([, column]) => column && look.found.includes(column)).sort());
  const save = (one: string, all: Columns) => void attempt(async () => {
    await put(`datasets/${encodeURIComponent(name)}/mapping`, { formatting: one, columns: toSave(one, all, look), tags: look.tags });
    again();
  }, t("dataset.mapped"));
  return {
    format, setFormat,
    there: (role: string) => columnOf(role, columns, look.found),
    roles: rolesOf(format, columns, look.found),
    choose: (role: string, column: string) => setColumns({ ...columns, [role]: column || null }),
    changed: format !== (look.format ?? "alpaca") || given(columns) !== given(look.columns),
    save: () => save(format, columns),
    take: (one: string, some: Columns) => { const all = { ...columns, ...some }; setFormat(one); setColumns(all); save(one, all); },
  };
}
type Choice = ReturnType<typeof useReading>;

function ReadingCard({ look, reading }: { look: Look; reading: Choice }) {
  const { format, roles, there, changed } = reading;
  const recognized = look.problem ? t("dataset.format.unknown") : look.told ? undefined : t("dataset.format.help");
  return (
    <section className="card">
      <header><h2>{t("dataset.mapping")}</h2>{changed && <Button kind="primary" small onClick={reading.save}>{t("save")}</Button>}</header>
      <div className="fields">
        <Labelled label={t("dataset.format")} help={changed ? undefined : recognized}>{(id) => <select id={id} value={format} onChange={(event) => reading.setFormat(event.target.value)}>{[...new Set([...Object.keys(ROLES), format])].map((one) => <option key={one}>{one}</option>)}</select>}</Labelled>
        {roles.map((role) => (
          <Labelled key={role} label={t("dataset.role", { role: named("column", format === "text" && role === "prompt" ? "text" : role) })} mono={role}>{(id) => (
            <select id={id} value={there(role)} onChange={(event) => reading.choose(role, event.target.value)}>
              {isClearable(role, there(role)) && <option value="">{t("form.none")}</option>}
              {look.found.map((column) => <option key={column}>{column}</option>)}
            </select>
          )}</Labelled>
        ))}
      </div>
      {!changed && !look.problem && <p className="muted small" style={{ marginTop: "var(--s4)" }}>{t("dataset.counts", { usable: number(look.usable), rows: number(look.rows) })}</p>}
    </section>
  );
}
