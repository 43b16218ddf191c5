import { post } from "../api/client";
import type { Settings, TableHead, Tables } from "../api/types";
import { useResource, useRested } from "../api/use";
import type { Texts } from "../form/schema";
import { t } from "../i18n";
import { Said } from "../ui/said";
import { heldBy, PARTS, partOf, withPart, type Part } from "./authoring-parts";

const DECIDING = ["header", "sheet", "as_text", "dataset_dir", ...PARTS];
const NONE: Tables = { tables: [], more: 0 };

/** The tables among the sources, as they are read with these settings; none where none can be told. */
export function useTables(sources: string[], settings: Settings): Tables {
  const options = Object.fromEntries(DECIDING.filter((name) => settings[name] !== undefined).map((name) => [name, settings[name]!]));
  const key = useRested(sources.length ? JSON.stringify({ sources, options }) : "", 400);
  const found = useResource<Tables>(key || null, (signal) => post("authoring/tables", JSON.parse(key), signal));
  return key && sources.length ? (found.data ?? NONE) : NONE;
}

/** How a table begins: each column says what becomes of it, and can be told. */
export function TableCard({ head, texts, onChange }: { head: TableHead; texts: Texts; onChange: (texts: Texts) => void }) {
  return (
    <section className="card flush" aria-label={head.name}>
      <header className="stack tight"><h2 className="clip">{head.name}</h2>{head.problem && <p className="small bad"><Said text={head.problem.message} /></p>}<p className="small muted"><Said text={noteOf(head, texts)} /></p></header>
      <div className="scroll" tabIndex={0} role="group" aria-label={head.name}>
        <table className="table begins">
          <thead><tr>{head.columns.map((column) => <th key={column} scope="col"><span className="clip" title={column}>{column}</span><PartChoice column={column} head={head} texts={texts} onChange={onChange} /></th>)}</tr></thead>
          <tbody>{head.rows.map((row, n) => <tr key={n}>{row.map((cell, at) => <td key={at}><div>{cell}</div></td>)}</tr>)}</tbody>
        </table>
      </div>
      {head.more_columns > 0 && <p className="small muted table-note">{t("tables.more", { n: head.more_columns })}</p>}
    </section>
  );
}

function PartChoice({ column, head, texts, onChange }: { column: string; head: TableHead; texts: Texts; onChange: (texts: Texts) => void }) {
  const part = partOf(column, head, texts);
  const held = heldBy(column, head, texts);
  return (
    <select aria-label={t("tables.use", { column })} title={held ? t(`tables.${held}`) : undefined} disabled={held === "written"} value={part} className={part ? "used" : undefined} onChange={(event) => onChange(withPart(column, event.target.value as Part | "", head, texts))}>
      <option value="" disabled={held === "needed"}>{t("tables.part.none")}</option>
      {part === "text" && <option value="text">{t("tables.part.text")}</option>}
      {PARTS.map((one) => <option key={one} value={one}>{t(`tables.part.${one}`)}</option>)}
    </select>
  );
}

function noteOf(head: TableHead, texts: Texts): string {
  if (head.format === "text") return t("tables.text");
  if (head.format !== "" && head.format !== "columns") return t("tables.format", { format: head.format });
  if (PARTS.some((part) => texts[part]?.trim())) return head.problem ? head.problem.hint : t("tables.chosen");
  return head.format === "" ? t("tables.unclear") : t("tables.guessed");
}
