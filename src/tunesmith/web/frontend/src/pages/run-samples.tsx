import { get, segment } from "../api/client";
import type { Json, Piece } from "../api/types";
import { useResource } from "../api/use";
import { t } from "../i18n";
import { Empty, Failure, Waiting } from "../ui/parts";
import { MaskLegend, Pieces } from "./mask";

type Sample = { [key: string]: Json };

/** What the run wrote down of its first samples and, at evaluations, of the model's words. */
export function RunSamples({ id }: { id: string }) {
  const samples = useResource<{ samples: Sample[] }>(id, (signal) => get(`runs/${segment(id)}/samples`, {}, signal));
  if (samples.error) return <Failure error={samples.error} retry={samples.reload} />;
  if (!samples.data) return <div className="card"><Waiting /></div>;
  if (!samples.data.samples.length) return <div className="card"><Empty icon="file" title={t("samples.empty")} /></div>;
  return (
    <section className="card flush">
      <header className="row apart"><h2>{t("run.tab.samples")}</h2><MaskLegend /></header>
      <ul className="list">
        {samples.data.samples.map((sample, n) => (
          <li key={n} style={{ padding: "var(--s4) var(--s5)" }}>
            {Array.isArray(sample["pieces"]) ? <Pieces pieces={sample["pieces"] as unknown as Piece[]} /> : <pre>{typeof sample["text"] === "string" ? sample["text"] : JSON.stringify(sample, null, 2)}</pre>}
          </li>
        ))}
      </ul>
    </section>
  );
}
