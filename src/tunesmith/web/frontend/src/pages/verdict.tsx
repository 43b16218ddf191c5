import { get, post, segment } from "../api/client";
import type { Exported } from "../api/types";
import { useResource } from "../api/use";
import { bytes, measure, percent, t } from "../i18n";
import { go, href } from "../router";
import { Button, Code, Failure, Note, Waiting } from "../ui/parts";
import { attempt } from "../ui/toast";

const TONES = { pass: "good", warn: "warn", fail: "bad" } as const;

/** What an export wrote, and how each file compares with the trained model. */
export function Verdict({ run }: { run: string }) {
  const exported = useResource<Exported>(run, (signal) => get(`runs/${segment(run)}/exported`, {}, signal));
  if (exported.error) return <Failure error={exported.error} retry={exported.reload} />;
  if (!exported.data) return <div className="card"><Waiting rows={3} /></div>;
  const { folder, files, verified, modelfile, model, ollama } = exported.data;
  const worst = verified.some((row) => row.status === "fail") ? "bad" : verified.some((row) => row.status === "warn") ? "warn" : "good";
  const verify = () => attempt(async () => go(href("runs", (await post<{ id: string }>("export/verify", { place: folder })).id)));
  return (
    <>
      {verified.length > 0 && <Note tone={worst}><p>{t(`verify.${worst}`)}</p></Note>}
      {(model || ollama) && (
        <section className="card stack" aria-label={t("export.use")}>
          <div className="row apart"><h2>{t("export.use")}</h2>{model && <a className="button primary" href={href("chat", "", { model })}>{t("run.chat")}</a>}</div>
          {ollama && <Code label={t("export.ollama")} text={ollama} />}
        </section>
      )}
      {verified.length > 0 && (
        <section className="card flush">
          <header><h2>{t("verify.title")}</h2></header>
          <div className="scroll"><table className="table files-verified">
            <thead><tr><th>{t("run.file")}</th><th className="end">{t("run.size")}</th><th className="end">{t("verify.prompts")}</th><th className="end">{t("verify.agreement")}</th><th className="end">{t("verify.loss")}</th><th>{t("verify.verdict")}</th></tr></thead>
            <tbody>{verified.map((row) => (
              <tr key={row.file}>
                <td className="mono">{row.file}</td><td className="end nowrap" data-label={t("run.size")}>{bytes(row.size)}</td><td className="end nowrap" data-label={t("verify.prompts")}>{row.prompts} / {row.cases}</td>
                <td className="end" data-label={t("verify.agreement")}>{row.agreement === null ? "–" : percent(row.agreement, 1)}</td>
                <td className="end nowrap" data-label={t("verify.loss")}>{row.loss === null ? "–" : measure(row.loss)}{row.reference_loss !== null && <span className="muted small"> / {measure(row.reference_loss)}</span>}</td>
                <td><span className="badge" data-tone={TONES[row.status]}>{t(`doctor.${row.status}`)}</span><p className="muted small">{row.detail}</p>{row.fix && <p className="small">{row.fix}</p>}</td>
              </tr>
            ))}</tbody>
          </table></div>
        </section>
      )}
      <section className="card flush">
        <header><h2>{folder}</h2>{verified.length === 0 && <Button small onClick={() => void verify()}>{t("verify.action")}</Button>}</header>
        <div className="scroll"><table className="table"><tbody>{files.map((file) => <tr key={file.path}><td className="mono">{file.path}</td><td className="end nowrap">{bytes(file.bytes)}</td></tr>)}</tbody></table></div>
      </section>
      {modelfile && <section className="card"><Code label="Modelfile" text={modelfile} /></section>}
    </>
  );
}
