import { useRuns } from "../api/events";
import { t, when } from "../i18n";
import { href } from "../router";
import { Bar, StatusBadge } from "../ui/parts";

/** The runs of one kind, the newest first. */
export function Earlier({ kind, title }: { kind: string; title: string }) {
  const done = (useRuns() ?? []).filter((run) => run.kind === kind);
  if (!done.length) return null;
  return (
    <section className="card flush"><header><h2>{title}</h2></header>
      <ul className="list" style={{ marginTop: "var(--s3)" }}>{done.slice(0, 20).map((run) => (
        <li key={run.id} className="set"><a className="strong grow" href={href("runs", run.id)}>{run.name}</a><StatusBadge status={run.status} />{run.status === "running" && <span style={{ width: 120 }}><Bar value={run.progress} label={t("run.progress", { name: run.name })} /></span>}<span className="muted small">{when(run.created)}</span></li>
      ))}</ul>
    </section>
  );
}
