import { post, segment, url } from "../api/client";
import type { Run, RunDetail } from "../api/types";
import { bytes, measure, t } from "../i18n";
import { href } from "../router";
import { Button, Clipped, Empty } from "../ui/parts";
import { attempt } from "../ui/toast";

/** What a run saved: its checkpoints, with what can be done with each, and its files. */
export function RunFiles({ detail, run }: { detail: RunDetail; run: Run }) {
  const { checkpoints, files } = detail;
  if (!checkpoints.length && !files.length) return <div className="card"><Empty icon="file" title={t("run.nofiles")}>{t("run.nofiles.text")}</Empty></div>;
  const newest = checkpoints.at(-1);
  return (
    <>
      {checkpoints.length > 0 && (
        <section className="card flush"><header><h2>{t("run.checkpoints")}</h2></header>
          <ul className="list checkpoints">
            {checkpoints.map((one) => (
              <li key={one.path}>
                <div className="checkpoint-name">
                  <strong>{t("curve.step")} {measure(one.step)}</strong> {one.best && <span className="badge plain" data-tone="good">{t("run.best")}</span>}
                  {one.eval_loss !== null && <span className="muted small nowrap">{t("fact.eval_loss")} {measure(one.eval_loss)}</span>}
                  <p className="mono small muted"><Clipped text={one.path} /></p>
                </div>
                <div className="row">
                  {one === newest && run.resumable && <Button small icon="play" onClick={() => void attempt(() => post(`runs/${segment(run.id)}/resume`), t("run.resumed", { name: run.name }))}>{t("run.resume")}</Button>}
                  {(["chat", "evaluate", "export"] as const).map((page) => (
                    <a key={page} className="button small" href={href(page, "", { run: one.path })} aria-label={`${t(`nav.${page}`)}: ${t("curve.step")} ${measure(one.step)}`}>{t(`nav.${page}`)}</a>
                  ))}
                </div>
              </li>
            ))}
          </ul>
        </section>
      )}
      {files.length > 0 && (
        <section className="card flush"><header><h2>{t("run.tab.files")}</h2></header>
          <div className="scroll"><table className="table"><thead><tr><th>{t("run.file")}</th><th className="end">{t("run.size")}</th></tr></thead><tbody>
            {files.map((one) => <tr key={one.path}><td><a href={url(`runs/${segment(run.id)}/files/${segment(one.path)}`)} target="_blank" rel="noreferrer">{one.path}</a></td><td className="end nowrap">{bytes(one.bytes)}</td></tr>)}
          </tbody></table></div>
        </section>
      )}
    </>
  );
}
