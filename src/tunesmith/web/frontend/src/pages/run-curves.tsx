import { useEffect, useMemo, useState } from "react";
import type { Metrics, Run, Word } from "../api/types";
import { Curve, type Line } from "../curve/curve";
import { closer, lowest, pictures, smooth, usualWeight } from "../curve/data";
import { CurveTools, useCurveLook } from "../curve/tools";
import { fill, measure, named, t, useLanguage } from "../i18n";
import { Empty, Note } from "../ui/parts";
import { isActive } from "../api/types";
import { AUTHORING } from "./run-summary";

const TONES = { info: "info", warning: "warn", error: "bad" } as const;

/** What the curve shows, in the reader's language where it has words for it. */
export function Words({ words }: { words: Word[] }) {
  return words.map((word) => {
    const values = Object.fromEntries(Object.entries(word.values).map(([name, value]) => [name, measure(value)]));
    const own = named("sign", word.sign) === word.sign ? null : fill(named("sign", word.sign), values);
    const fix = named("sign.fix", word.sign) === word.sign ? word.fix : named("sign.fix", word.sign);
    return (
      <Note key={word.sign} tone={word.sign === "good" ? "good" : TONES[word.level]}>
        <p>{own ?? word.message}</p>
        {word.fix && <p>{fix}</p>}
      </Note>
    );
  });
}

/** zoom: the part that is looked at, and what was read of it where the whole curve is thinned. */
interface Zoom { range: [number, number]; part: Metrics | undefined }

export function RunCurves({ run, metrics, zoom, saved, onZoom, csv }: { run: Run; metrics: Metrics; zoom: Zoom | null; saved: number[]; onZoom: (range: [number, number] | null) => void; csv: string }) {
  // Whoever comes back to the curve sees all of it.
  useEffect(() => () => onZoom(null), [onZoom]);
  const language = useLanguage();
  const groups = pictures(metrics.series);
  const names = Object.keys(groups);
  const [wanted, setWanted] = useState("loss");
  const picture = groups[wanted] ? wanted : names[0];
  const look = useCurveLook();
  const counted = AUTHORING.test(run.kind); // what is counted up has nothing to smooth
  const weight = counted ? 0 : look.weight ?? usualWeight(metrics.series[groups[picture ?? ""]?.[0] ?? ""]?.length ?? 0);
  const lines = useMemo<Line[]>(() => (groups[picture ?? ""] ?? []).flatMap((name, n): Line[] => {
    const whole = metrics.series[name]!;
    const points = zoom ? closer(whole, zoom.part?.series[name], zoom.range) : whole;
    const colour = `--curve-${(n % 6) + 1}`;
    const label = named("metric", name);
    if (name.startsWith("eval_")) return [{ name: label, points, colour, dots: true }];
    if (name === "learning_rate" || weight === 0) return [{ name: label, points, colour }];
    // Smoothed over the whole curve, so that a step has one value however close one looks.
    return [{ name: t("curve.raw", { name: label }), points, colour, faint: true }, { name: t("curve.smoothed", { name: label }), points: smooth(whole, weight), colour }];
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }), [metrics.series, zoom?.part, picture, weight, language]);
  const best = lowest(metrics.series["eval_loss"] ?? []);
  if (!picture) {
    return <div className="card"><Empty icon="runs" title={t("curve.empty")}>{isActive(run.status) ? t("curve.empty.soon") : t("curve.empty.never")}</Empty></div>;
  }
  return (
    <section className="card" aria-label={named("metric", picture)}>
      <CurveTools picture={picture} names={names} choose={setWanted} weight={counted ? null : weight} look={look} />
      <Curve
        title={named("metric", picture)} of={run.name} csv={csv} lines={lines} log={look.log} onZoom={onZoom} fileName={`${run.name}-${picture}`}
        mark={picture === "loss" && best ? { step: best[0], text: saved.includes(best[0]) ? t("curve.best") : t("curve.lowest") } : null}
      />
    </section>
  );
}
