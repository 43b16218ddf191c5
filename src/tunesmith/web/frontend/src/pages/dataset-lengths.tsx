import { useRef } from "react";
import type { Look } from "../api/types";
import type { Resource } from "../api/use";
import { number, percent, t } from "../i18n";
import { Empty, Failure, Waiting } from "../ui/parts";
import { atCutoff } from "./cutoff";

const [WIDTH, HEIGHT] = [1000, 260];

export function LengthsView({ look, named, cutoff, setCutoff }: { look: Resource<Look>; named: boolean; cutoff: number; setCutoff: (cutoff: number) => void }) {
  const picture = useRef<SVGSVGElement>(null);
  if (!named) return <div className="card"><Empty icon="evaluate" title={t("lengths.nomodel")}>{t("lengths.nomodel.text")}</Empty></div>;
  if (look.error) return <Failure error={look.error} retry={look.reload} />;
  const lengths = look.data?.lengths;
  if (!lengths) return <div className="card">{look.loading || !look.data ? <Waiting rows={8} /> : <Empty icon="evaluate" title={t("rows.empty")} />}</div>;
  const most = Math.max(...lengths.histogram.map((bar) => bar.count), 1);
  const end = Math.max(lengths.longest, ...lengths.histogram.map((bar) => bar.to), 8);
  const top = Math.max(end, 16);
  const x = (tokens: number) => (WIDTH * Math.min(tokens, top)) / top;
  const there = atCutoff(lengths.cutoffs, cutoff);
  const rows = lengths.histogram.reduce((sum, bar) => sum + bar.count, 0);
  const drag = (clientX: number) => {
    const box = picture.current!.getBoundingClientRect();
    setCutoff(Math.max(1, Math.round((top * (clientX - box.left)) / box.width)));
  };
  return (
    <section className="card stack">
      <dl className="facts">
        <div><dt>{t("lengths.median")}</dt><dd>{number(lengths.median)}</dd></div>
        <div><dt>{t("lengths.longest")}</dt><dd>{number(lengths.longest)}</dd></div>
        <div><dt>{t("lengths.total")}</dt><dd>{number(lengths.total)}</dd></div>
        {there && <div><dt>{t("lengths.cut")}</dt><dd className={there.truncated_rows ? "warn" : "good"}>{number(there.truncated_rows)} <span className="muted small">({percent(rows ? there.truncated_rows / rows : 0, 1)})</span></dd></div>}
        {there && <div><dt>{t("lengths.fill")}</dt><dd>{percent(there.fill)}</dd></div>}
      </dl>
      <svg
        ref={picture} className="histogram" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={t("lengths.picture")}
        onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); drag(event.clientX); }}
        onPointerMove={(event) => event.buttons && drag(event.clientX)}
      >
        {lengths.histogram.map((bar) => {
          const height = (HEIGHT - 10) * (bar.count / most);
          const left = x(bar.from);
          return <rect key={bar.from} x={left + 1} width={Math.max(1, x(Math.max(bar.to, bar.from + 1)) - left - 2)} y={HEIGHT - height} height={height} rx="2" className={bar.from >= cutoff ? "over" : undefined}><title>{`${bar.from}–${bar.to}: ${bar.count}`}</title></rect>;
        })}
        {cutoff <= top && <line x1={x(cutoff)} x2={x(cutoff)} y1="0" y2={HEIGHT} />}
      </svg>
      <div className="row apart small muted"><span>0</span><span>{t("lengths.tokens", { n: top })}</span></div>
      <label className="stack tight">
        <span className="row apart"><strong>{t("lengths.cutoff")}</strong><strong>{number(cutoff)}</strong></span>
        <input type="range" min={1} max={Math.max(top, cutoff)} value={cutoff} onChange={(event) => setCutoff(Number(event.target.value))} />
      </label>
      {there && <p className="muted small">{there.truncated_rows ? t("lengths.loses", { tokens: number(there.truncated_tokens), rows: number(there.truncated_rows) }) : t("lengths.loses.none")} {t("lengths.packed", { rows: number(there.packed_rows) })}</p>}
    </section>
  );
}
