import { useMemo, useState } from "react";
import { get, url } from "../api/client";
import type { Comparison, Json } from "../api/types";
import { useResource } from "../api/use";
import { Curve, type Line } from "../curve/curve";
import { pictures, smooth, usualWeight } from "../curve/data";
import { CurveTools, useCurveLook } from "../curve/tools";
import { toText } from "../form/schema";
import { scoreName } from "../evaluation/names";
import { measure, named, t, useLanguage } from "../i18n";
import { href, useRoute } from "../router";
import { Empty, Failure, Page, Waiting } from "../ui/parts";
import { namesOf } from "./run-names";

const shown = (value: Json | undefined) => toText(value) || "–";

/** How fast an evaluation went, which is no score. */
const PACE = /^(eval|predict)_(runtime|\w+_per_second)$/;

export function ComparePage() {
  const ids = [...new Set(useRoute().query.getAll("run"))];
  const called = namesOf(ids);
  const comparison = useResource<Comparison>(ids.length > 1 ? ids.join() : null, (signal) => get("compare", { runs: ids }, signal));
  const [picture, setPicture] = useState("loss");
  const look = useCurveLook();
  const language = useLanguage();
  const data = comparison.data;
  // Evaluations come to scores; what lies before them is no curve.
  const drawn = data && (!data.series["answered"] || data.series["loss"]?.some((points) => points.length > 0));
  const groups = useMemo(() => [...Object.keys(pictures(Object.fromEntries(Object.keys(data?.series ?? {}).map((name) => [name, []]))))], [data]);
  const lines = useMemo<Line[]>(() => ids.flatMap((_, n): Line[] => Object.keys(data?.series ?? {}).filter((name) => pictures({ [name]: [] })[picture] && data!.series[name]![n]?.length).map((name) => {
    const evaluated = name.startsWith("eval_");
    const points = data!.series[name]![n]!;
    const weight = evaluated || name === "learning_rate" ? 0 : look.weight ?? usualWeight(points.length);
    const label = `${called[n]}${evaluated ? ` · ${named("metric", name)}` : ""}`;
    return { name: weight ? t("curve.smoothed", { name: label }) : label, colour: `--curve-${(n % 6) + 1}`, dash: evaluated, points: smooth(points, weight) };
    // eslint-disable-next-line react-hooks/exhaustive-deps
  })), [data, picture, look.weight, language]);
  const longest = Math.max(0, ...(data?.series[picture] ?? []).map((points) => points.length));
  return (
    <Page title={t("compare.title")} lead={called.join(" · ")} crumb={{ href: href("runs"), text: t("nav.runs") }}>
      {ids.length < 2 && <div className="card"><Empty icon="compare" title={t("compare.empty")} actions={<a className="button" href={href("runs")}>{t("nav.runs")}</a>}>{t("compare.empty.text")}</Empty></div>}
      {comparison.error && <Failure error={comparison.error} retry={comparison.reload} />}
      {ids.length > 1 && !data && !comparison.error && <div className="card"><Waiting rows={8} /></div>}
      {data && (
        <>
          {drawn && <section className="card">
            <CurveTools picture={picture} names={groups} choose={setPicture} weight={picture === "learning_rate" ? null : look.weight ?? usualWeight(longest)} look={look} />
            <Curve title={named("metric", picture)} of={called.join(", ")} csv={url("compare.csv", { runs: ids })} lines={lines} log={look.log} fileName={`${called.join("-").replaceAll("/", "_").slice(0, 100)}-${picture}`} />
          </section>}
          <Table title={t("compare.metrics")} ids={ids} rows={Object.entries(data.metrics).filter(([name]) => !PACE.test(name)).map(([name, values]) => [scoreName(name), values.map((value) => (value === null ? "–" : measure(value)))])} />
          {data.config.length ? <Table title={t("compare.config")} mono ids={ids} rows={data.config.map((row) => [row.key, row.values.map(shown)])} /> : <section className="card"><p className="muted">{t("compare.same")}</p></section>}
        </>
      )}
    </Page>
  );
}

function Table({ title, ids, rows, mono }: { title: string; ids: string[]; rows: [string, string[]][]; mono?: boolean }) {
  return (
    <section className="card flush">
      <header><h2>{title}</h2></header>
      <div className="scroll"><table className="table">
        <thead><tr><th>{t("compare.name")}</th>{ids.map((id, n) => <th key={id}><span className="curve-key"><i style={{ background: `var(--curve-${(n % 6) + 1})` }} /><a href={href("runs", id)}>{namesOf(ids)[n]}</a></span></th>)}</tr></thead>
        <tbody>{rows.map(([name, values]) => <tr key={name}><th scope="row" className={mono ? "mono" : undefined}>{name}</th>{values.map((value, n) => <td key={n}>{value}</td>)}</tr>)}</tbody>
      </table></div>
    </section>
  );
}
