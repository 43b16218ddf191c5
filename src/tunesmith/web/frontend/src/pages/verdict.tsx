import { get, segment } from "../api/client";
import type { Verify } from "../api/types";
import { useResource } from "../api/use";
import { bytes, measure, named, t } from "../i18n";
import { Failure, Note, Waiting } from "../ui/parts";

const TONES = { same: "good", close: "good", different: "bad", unknown: "" } as const;

/** What the comparison of exported files with the trained model found. */
export function Verdict({ run }: { run: string }) {
  const verify = useResource<Verify>(run, (signal) => get(`runs/${segment(run)}/verify`, {}, signal));
  if (verify.error) return <Failure error={verify.error} retry={verify.reload} />;
  if (!verify.data) return <div className="card"><Waiting rows={3} /></div>;
  const { ok, summary, rows } = verify.data;
  return (
    <section className="card stack">
      <header><h2>{t("verify.title")}</h2></header>
      <Note tone={ok === null ? "info" : ok ? "good" : "bad"}><p>{summary}</p></Note>
      {rows.length > 0 && (
        <div className="scroll"><table className="table inset">
          <thead><tr><th>{t("run.file")}</th><th className="end">{t("run.size")}</th><th>{t("verify.prompts")}</th><th>{t("verify.tokens")}</th><th className="end">{t("verify.perplexity")}</th><th>{t("verify.verdict")}</th></tr></thead>
          <tbody>{rows.map((row) => (
            <tr key={row.file}>
              <td className="mono">{row.file}</td><td className="end nowrap">{row.bytes === null ? "–" : bytes(row.bytes)}</td><td>{row.prompts}</td><td>{row.tokens}</td>
              <td className="end">{row.perplexity === null ? "–" : measure(row.perplexity)}</td>
              <td><span className="badge" data-tone={TONES[row.verdict]}>{named("verdict", row.verdict)}</span>{row.note && <p className="muted small">{row.note}</p>}</td>
            </tr>
          ))}</tbody>
        </table></div>
      )}
    </section>
  );
}
