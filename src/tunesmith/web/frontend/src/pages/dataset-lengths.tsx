import { useEffect, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import { post } from "../api/client";
import type { Cutoff, Look, Settings } from "../api/types";
import { useResource, type Resource } from "../api/use";
import { number, percent, t } from "../i18n";
import { Empty, Failure, Waiting } from "../ui/parts";
import { atCutoff, pressed, rangeOf } from "./cutoff";

const [WIDTH, HEIGHT] = [1000, 260];
type Lengths = NonNullable<Look["lengths"]>;

export function LengthsView({ name, settings, look, named, cutoff, setCutoff }: { name: string; settings: Settings; look: Resource<Look>; named: boolean; cutoff: number; setCutoff: (cutoff: number) => void }) {
  const known = look.data?.lengths && !look.stale && !look.loading;
  const counted = useResource<Cutoff>(known ? `${name}?${JSON.stringify(settings)}` : null, (signal) => post(`datasets/${encodeURIComponent(name)}/cutoff`, { settings }, signal));
  if (!named) return <div className="card"><Empty icon="evaluate" title={t("lengths.nomodel")}>{t("lengths.nomodel.text")}</Empty></div>;
  if (look.error) return <Failure error={look.error} retry={look.reload} />;
  const lengths = look.data?.lengths;
  if (!lengths) return <div className="card">{look.loading || !look.data ? <Waiting rows={8} /> : <Empty icon="evaluate" title={t("rows.empty")} />}</div>;
  const there = counted.data?.cutoff === cutoff && !counted.stale ? counted.data : atCutoff(lengths.cutoffs, cutoff);
  const rows = lengths.histogram.reduce((sum, bar) => sum + bar.count, 0);
  return (
    <section className="card stack">
      <dl className="facts">
        <div><dt>{t("lengths.median")}</dt><dd>{number(lengths.median)}</dd></div>
        <div><dt>{t("lengths.longest")}</dt><dd>{number(lengths.longest)}</dd></div>
        <div><dt>{t("lengths.total")}</dt><dd>{number(lengths.total)}</dd></div>
        {there && <div><dt>{t("lengths.cut")}</dt><dd className={there.truncated_rows ? "warn" : "good"}>{number(there.truncated_rows)} <span className="muted small">({percent(rows ? there.truncated_rows / rows : 0, 1)})</span></dd></div>}
        {there && <div><dt>{t("lengths.fill")}</dt><dd>{percent(there.fill)}</dd></div>}
      </dl>
      <Histogram lengths={lengths} cutoff={cutoff} setCutoff={setCutoff} />
      {there && <p className="muted small">{there.truncated_rows ? t("lengths.loses", { tokens: number(there.truncated_tokens), rows: number(there.truncated_rows) }) : t("lengths.loses.none")} {t("lengths.packed", { rows: number(there.packed_rows) })}</p>}
    </section>
  );
}

/** The line on it is the cutoff, moved by pointer and keys. How far it reaches holds still while it is moved. */
function Histogram({ lengths, cutoff, setCutoff }: { lengths: Lengths; cutoff: number; setCutoff: (cutoff: number) => void }) {
  const line = useRef<HTMLDivElement>(null);
  const moved = useRef(cutoff);
  const [given, setGiven] = useState(cutoff);
  useEffect(() => {
    if (cutoff !== moved.current) setGiven(cutoff); // typed above
    moved.current = cutoff;
  }, [cutoff]);
  const most = Math.max(...lengths.histogram.map((bar) => bar.count), 1);
  const top = rangeOf(lengths.longest, given);
  const x = (tokens: number) => (WIDTH * Math.min(tokens, top)) / top;
  const move = (to: number) => {
    moved.current = Math.min(top, Math.max(1, to));
    setCutoff(moved.current);
  };
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    move(Math.round((top * (event.clientX - box.left)) / box.width));
  };
  const press = (event: KeyboardEvent) => {
    const to = pressed(event.key, cutoff, top);
    if (to === null) return;
    event.preventDefault();
    move(to);
  };
  return (
    <div className="stack tight">
      <div className="row apart"><strong>{t("lengths.cutoff")}</strong><strong>{number(cutoff)}</strong></div>
      <div
        className="histogram" onPointerMove={(event) => event.buttons && drag(event)}
        onPointerDown={(event) => { event.preventDefault(); event.currentTarget.setPointerCapture(event.pointerId); line.current!.focus(); drag(event); }}
      >
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={t("lengths.picture")}>
          {lengths.histogram.map((bar) => {
            const height = (HEIGHT - 10) * (bar.count / most);
            const left = x(bar.from);
            const gap = Math.min(1, (x(bar.to + 1) - left) / 8);
            return <rect key={bar.from} x={left + gap} width={Math.max(1, x(bar.to + 1) - left - 2 * gap)} y={HEIGHT - height} height={height} className={bar.from > cutoff ? "over" : undefined}><title>{`${bar.from}–${bar.to}: ${bar.count}`}</title></rect>;
          })}
        </svg>
        <div
          ref={line} className="cutoff-line" style={{ left: `${(100 * Math.min(cutoff, top)) / top}%` }} onKeyDown={press}
          role="slider" tabIndex={0} aria-label={t("lengths.cutoff")} aria-orientation="horizontal" aria-valuemin={1} aria-valuemax={top} aria-valuenow={cutoff}
        />
      </div>
      <div className="row apart small muted"><span>0</span><span>{t("lengths.drag")}</span><span>{t("lengths.tokens", { n: top })}</span></div>
    </div>
  );
}
