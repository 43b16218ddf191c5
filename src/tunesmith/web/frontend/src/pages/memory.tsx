import { post } from "../api/client";
import type { Estimate, Settings } from "../api/types";
import { useResource, useRested, type Resource } from "../api/use";
import { bytes, named, t } from "../i18n";
import { Said } from "../ui/said";

const PARTS = ["weights", "gradients", "optimizer", "activations", "logits", "runtime"];
const COLOURS = ["--curve-1", "--curve-2", "--curve-3", "--curve-4", "--curve-5", "--curve-6"];

/** What the training would take, once the settings rest. */
export function useEstimate(settings: Settings, devices: string[] | null): Resource<Estimate> & { model: boolean } {
  const key = useRested(JSON.stringify({ settings, devices }), 500);
  const model = Boolean((JSON.parse(key) as { settings: Settings }).settings["model_name_or_path"]);
  return { ...useResource<Estimate>(model ? key : null, (signal) => post("estimate", JSON.parse(key), signal)), model };
}

/** How much memory the training would take, against what the device has free; pale while it is of earlier settings.
 * told: whether what is wrong is said elsewhere on the page. */
export function Memory({ estimate, told }: { estimate: ReturnType<typeof useEstimate>; told: boolean }) {
  const { model } = estimate;
  const data = model && !estimate.error ? estimate.data : undefined;
  const room = data ? Math.max(data.available, data.total, 1) : 1;
  return (
    <section className={["card stack tight memory-card", data && "known", data && estimate.stale && "stale"].filter(Boolean).join(" ")} aria-busy={estimate.loading} aria-label={t("memory.title")}>
      <div className="row apart"><h2>{t("memory.title")}</h2>{data && <strong className={data.fits ? undefined : "bad"}>{bytes(data.total)}</strong>}</div>
      <div className="memory" role="img" aria-label={data ? t("memory.told", { total: bytes(data.total), free: bytes(data.available) }) : t("memory.none")}>
        {data && PARTS.map((part, n) => <i key={part} style={{ width: `${(100 * (data.parts[part] ?? 0)) / room}%`, background: `var(${COLOURS[n]})` }} />)}
        {data && data.total > data.available && <b style={{ insetInlineStart: `${(100 * data.available) / room}%` }} />}
      </div>
      <ul className="memory-parts small">
        {PARTS.map((part, n) => <li key={part} className={data?.parts[part] ? undefined : "muted"}><i style={{ background: `var(${COLOURS[n]})` }} />{named("memory.part", part)}<span>{data?.parts[part] ? bytes(data.parts[part]) : "–"}</span></li>)}
      </ul>
      <div className="told stack tight">
        <p className={`small ${data && !data.fits && !estimate.stale ? "bad" : "muted"}`}>
          {estimate.error && model ? told ? t("memory.unknown") : <Said text={estimate.error.message} /> : !model ? t("memory.none") : !data || estimate.stale ? t("memory.counting") : data.fits ? t("memory.fits", { free: bytes(data.available) }) : t("memory.over", { free: bytes(data.available) })}
        </p>
        {data && !estimate.stale && <p className="small muted">{data.at_most ? t("memory.most", { n: data.longest }) : t("memory.rows", { n: data.longest })}</p>}
        {data?.note && <p className="small muted">{data.note}</p>}
      </div>
    </section>
  );
}
