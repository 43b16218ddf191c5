import type { ReactNode } from "react";
import type { Json, RunDetail } from "../api/types";
import { commandLine, toText } from "../form/schema";
import { t } from "../i18n";
import { href } from "../router";

/** A value as a line, and what holds several by name as a list of them. */
function Value({ name, value }: { name: string; value: Json | undefined }): ReactNode {
  if (name === "command" && Array.isArray(value)) return <code>{commandLine(value.map(String))}</code>;
  if (value && typeof value === "object" && !Array.isArray(value)) {
    return <ul>{Object.entries(value).filter(([, one]) => one !== null).map(([key, one]) => <li key={key}><span className="muted">{key}</span> {toText(one)}</li>)}</ul>;
  }
  return toText(value);
}

const List = ({ entries }: { entries: [string, Json | undefined][] }) => (
  <dl className="pairs">{entries.filter(([, value]) => value !== null).map(([key, value]) => <div key={key}><dt className="mono">{key}</dt><dd><Value name={key} value={value} /></dd></div>)}</dl>
);

function Pairs({ entries, caption }: { entries: [string, Json | undefined][]; caption: string }) {
  return <section className="card"><header><h2>{caption}</h2></header><List entries={entries} /></section>;
}

/** What was set for a run, where it ran, and every setting as it ran. */
export function RunConfig({ detail }: { detail: RunDetail }) {
  const { id, kind } = detail.summary;
  return (
    <>
      {kind === "train" && <div className="row"><a className="button" href={href("train", "", { run: id })}>{t("run.again")}</a></div>}
      {kind === "eval" && <div className="row"><a className="button" href={href("evaluate", "", { again: id })}>{t("run.again")}</a></div>}
      <Pairs caption={t("run.asked")} entries={Object.entries(detail.asked)} />
      <Pairs caption={t("run.environment")} entries={Object.entries(detail.environment)} />
      <details className="card"><summary><h2>{t("run.resolved")}</h2></summary><List entries={Object.entries(detail.config)} /></details>
    </>
  );
}
