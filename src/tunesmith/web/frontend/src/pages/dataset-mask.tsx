import { useState } from "react";
import { post } from "../api/client";
import type { Mask, Settings } from "../api/types";
import { useResource } from "../api/use";
import { percent, t } from "../i18n";
import { Button, Empty, Failure, Note, Waiting } from "../ui/parts";
import { MaskLegend, Pieces } from "./mask";

const PAGE = 10;

/** Samples as the model sees them, each token in the colour of what training does with it. */
export function MaskView({ name, settings }: { name: string; settings: Settings }) {
  const [offset, setOffset] = useState(0);
  const model = Boolean(settings["model_name_or_path"]);
  const mask = useResource<Mask>(model ? `${name}@${offset}${JSON.stringify(settings)}` : null, (signal) => post(`datasets/${encodeURIComponent(name)}/mask`, { settings, offset, limit: PAGE }, signal));
  if (!model) return <div className="card"><Empty icon="search" title={t("mask.nomodel")}>{t("mask.nomodel.text")}</Empty></div>;
  if (mask.error) return <Failure error={mask.error} retry={mask.reload} />;
  if (!mask.data) return <div className="card"><Waiting rows={8} /></div>;
  const samples = mask.data.samples;
  return (
    <section className="card flush" aria-busy={mask.loading}>
      <header><h2>{mask.data.template && mask.data.template !== "own" ? t("mask.title.template", { template: mask.data.template }) : t("mask.title")}</h2><MaskLegend /></header>
      {mask.data.notes.length > 0 && <div className="stack tight" style={{ padding: "0 var(--s5) var(--s4)" }}>{mask.data.notes.map((note) => <Note key={note}><p>{note}</p></Note>)}</div>}
      {samples.length === 0 && <Empty icon="data" title={t("rows.empty")} />}
      <ol className="list" inert={mask.stale}>
        {samples.map((sample) => (
          <li key={sample.number} className="data-row">
            <p className="muted small">{t("rows.number", { n: sample.number + 1 })} · {t("mask.count", { tokens: sample.tokens, share: percent(sample.tokens ? sample.trained / sample.tokens : 0) })}</p>
            {sample.problem ? <p className="bad">{sample.problem}</p> : <Pieces pieces={sample.pieces} />}
          </li>
        ))}
      </ol>
      <footer className="row apart" style={{ padding: "var(--s3) var(--s5)", borderTop: "1px solid var(--line)" }}>
        <Button small icon="back" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE))}>{t("rows.previous")}</Button>
        <Button small after="next" disabled={samples.length < PAGE} onClick={() => setOffset(offset + PAGE)}>{t("rows.next")}</Button>
      </footer>
    </section>
  );
}
