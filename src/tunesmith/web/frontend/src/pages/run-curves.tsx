import { useEffect, useMemo, useState } from "react";
import type { Metrics, Run, Word } from "../api/types";
import { useKept } from "../api/use";
import { Curve, type Line } from "../curve/curve";
import { lowest, pictures, smooth, usualWeight } from "../curve/data";
import { fill, measure, named, t, useLanguage } from "../i18n";
import { Icon } from "../ui/icons";
import { Empty, Note, Pick } from "../ui/parts";
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

export function RunCurves({ run, metrics, saved, onZoom, csv }: { run: Run; metrics: Metrics; saved: number[]; onZoom: (range: [number, number] | null) => void; csv: string }) {
  // Whoever comes back to the curve sees all of it.
  useEffect(() => () => onZoom(null), [onZoom]);
  const language = useLanguage();
  const groups = pictures(metrics.series);
  const names = Object.keys(groups);
  const [wanted, setWanted] = useState("loss");
  const picture = groups[wanted] ? wanted : names[0];
  const [log, setLog] = useKept("curve.log", false);
  const [chosen, setWeight] = useKept<number | null>("curve.smoothing", null);
  const counted = AUTHORING.test(run.kind); // what is counted up has nothing to smooth
  const weight = counted ? 0 : chosen ?? usualWeight(metrics.series[groups[picture ?? ""]?.[0] ?? ""]?.length ?? 0);
  const lines = useMemo<Line[]>(() => (groups[picture ?? ""] ?? []).flatMap((name, n): Line[] => {
    const points = metrics.series[name]!;
    const colour = `--curve-${(n % 6) + 1}`;
    const label = named("metric", name);
    if (name.startsWith("eval_")) return [{ name: label, points, colour, dots: true }];
    if (name === "learning_rate" || weight === 0) return [{ name: label, points, colour }];
    return [{ name: t("curve.raw", { name: label }), points, colour, faint: true }, { name: t("curve.smoothed", { name: label }), points: smooth(points, weight), colour }];
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }), [metrics.series, picture, weight, language]);
  const best = lowest(metrics.series["eval_loss"] ?? []);
  if (!picture) {
    return <div className="card"><Empty icon="runs" title={t("curve.empty")}>{isActive(run.status) ? t("curve.empty.soon") : t("curve.empty.never")}</Empty></div>;
  }
  return (
    <section className="card" aria-label={named("metric", picture)}>
      <header style={{ gap: "var(--s3)" }}>
        <Pick label={t("curve.which")} value={picture} onChange={setWanted} options={names.map((name) => [name, named("metric", name)] as const)} />
        <span className="grow" />
        {!counted && <label className="row small muted">{t("curve.smoothing")}
          <input type="range" min={0} max={0.99} step={0.01} value={weight} onChange={(event) => setWeight(Number(event.target.value))} style={{ width: 110 }} />
        </label>}
        <label className="row small muted"><input type="checkbox" checked={log} onChange={(event) => setLog(event.target.checked)} />{t("curve.log")}</label>
        <a className="button quiet small" href={csv} download><Icon name="download" />CSV</a>
      </header>
      <Curve
        title={named("metric", picture)} lines={lines} log={log} onZoom={onZoom} fileName={`${run.name}-${picture}`}
        mark={picture === "loss" && best ? { step: best[0], text: saved.includes(best[0]) ? t("curve.best") : t("curve.lowest") } : null}
      />
      <p className="muted small">{t("curve.hint")}</p>
    </section>
  );
}
