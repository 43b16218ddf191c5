import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { measure, t, useLanguage } from "../i18n";
import { Icon } from "../ui/icons";
import { Button } from "../ui/parts";
import { align, known, moved, zoomedAround } from "./data";
import { axisNames, savePng } from "./picture";
import { optionsFor, type Line, type Mark } from "./plot";

export type { Line } from "./plot";
/** title: what is measured; of: whose curve it is; csv: where its numbers are. */
interface Props { title: string; of: string; csv: string; lines: Line[]; log?: boolean; height?: number; mark?: Mark | null; onZoom?: (range: [number, number] | null) => void; fileName?: string }

function useTheme(): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const change = () => setTurn((n) => n + 1);
    media.addEventListener("change", change);
    addEventListener("themechange", change);
    return () => { media.removeEventListener("change", change); removeEventListener("themechange", change); };
  }, []);
  return turn;
}

export function Curve({ title, of, csv, lines, log = false, height = 320, mark, onZoom, fileName = "curve" }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const zoomed = useRef<[number, number] | null>(null);
  const marked = useRef(mark);
  const [at, setAt] = useState<number | null>(null);
  const [isZoomed, setZoomed] = useState(false);
  const [spoken, speak] = useState("");
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const hint = useId();
  const theme = useTheme();
  const language = useLanguage();
  marked.current = mark;
  const data = useMemo(() => align(lines.map((line) => line.points)), [lines]);
  const steps = data[0];
  const shape = lines.map((line) => `${line.name}|${line.colour}|${line.faint}|${line.dots}|${line.dash}`).join();
  const look = { lines, log, height, language, hidden, mark: () => marked.current };

  /** Show a part of the curve, or all of it. */
  const zoom = (range: [number, number] | null) => {
    zoomed.current = range;
    setZoomed(range !== null);
    onZoom?.(range);
  };
  const show = (range: [number, number] | null) => {
    const u = plot.current!;
    u.setScale("x", { min: range?.[0] ?? u.data[0][0]!, max: range?.[1] ?? u.data[0].at(-1)! });
    zoom(range);
  };

  useEffect(() => {
    const box = holder.current!;
    const options = optionsFor({ ...look, width: box.clientWidth });
    const u = new uPlot({
      ...options,
      cursor: { ...options.cursor, bind: { dblclick: () => () => { show(null); return null; } } },
      hooks: {
        ...options.hooks,
        setCursor: [(self) => setAt(self.cursor.idx ?? null)],
        setSelect: [(self) => self.select.width > 4 && zoom([self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x")])],
      },
    }, data as uPlot.AlignedData, box);
    plot.current = u;
    if (zoomed.current) u.setScale("x", { min: zoomed.current[0], max: zoomed.current[1] });
    const size = new ResizeObserver(() => u.setSize({ width: box.clientWidth, height }));
    size.observe(box);
    return () => { size.disconnect(); u.destroy(); plot.current = null; setAt(null); };
    // The plot is built anew only when its shape changes; new data is set below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, log, height, theme, language]);

  useEffect(() => {
    const u = plot.current;
    if (!u || u.data === (data as unknown)) return;
    u.setData(data as uPlot.AlignedData, zoomed.current === null);
    if (zoomed.current) u.setScale("x", { min: zoomed.current[0], max: zoomed.current[1] });
    // Under a mouse that rests there may be another step now.
    const { left, top } = u.cursor;
    if (left !== undefined && left >= 0) queueMicrotask(() => plot.current === u && u.setCursor({ left, top: top! }));
  }, [data]);

  const toggle = (line: Line, n: number) => {
    const next = new Set(hidden);
    if (!next.delete(line.name)) next.add(line.name);
    setHidden(next);
    plot.current?.setSeries(n + 1, { show: !next.has(line.name) });
  };
  const onKey = (event: KeyboardEvent) => {
    const u = plot.current;
    if (!u || event.ctrlKey || event.metaKey || event.altKey || !steps.length) return;
    const seen: [number, number] = [u.scales.x!.min!, u.scales.x!.max!];
    const whole: [number, number] = [steps[0]!, steps.at(-1)!];
    if (event.key === "Escape" && isZoomed) show(null);
    else if ("+=-".includes(event.key)) {
      const step = steps[at ?? -1];
      show(zoomedAround(seen, whole, step ?? (seen[0] + seen[1]) / 2, event.key === "-" ? 2 : 0.5));
      if (step !== undefined) queueMicrotask(() => point(u, step));
    }
    else {
      const next = moved(steps, seen, at, event.key, event.shiftKey);
      if (next === null) return;
      point(u, steps[next]!);
      speak(`${t("curve.step")} ${measure(steps[next]!)}: ${lines.map((line, n) => !hidden.has(line.name) && `${line.name} ${valueAt(data[n + 1]!, next)}`).filter(Boolean).join(", ")}`);
    }
    event.preventDefault();
  };
  const end = zoomed.current ? steps.findLastIndex((step) => step <= zoomed.current![1]) : steps.length - 1;
  const shownAt = Math.min(at ?? end, steps.length - 1);
  const save = () => {
    const { min, max } = plot.current!.scales.x!;
    void savePng({ ...look, width: holder.current!.clientWidth, names: axisNames(title) }, data as uPlot.AlignedData, [min!, max!], `${of}: ${title}`, fileName);
  };
  return (
    <figure className="curve" aria-label={title}>
      <div className="curve-legend">
        <span className="curve-at muted nowrap">{t("curve.step")} <strong>{steps[shownAt] === undefined ? "–" : measure(steps[shownAt])}</strong></span>
        <span className="curve-keys" role="group" aria-label={t("curve.lines")}>
          {lines.map((line, n) => (
            <button key={line.name} type="button" className="curve-key" aria-pressed={!hidden.has(line.name)} onClick={() => toggle(line, n)}>
              <i className={line.faint ? "faint" : line.dots ? "dots" : line.dash ? "dash" : undefined} style={{ color: `var(${line.colour})` }} />{line.name} <strong>{valueAt(data[n + 1]!, shownAt)}</strong>
            </button>
          ))}
        </span>
        {isZoomed && <Button small kind="quiet" icon="again" onClick={() => show(null)}>{t("curve.reset")}</Button>}
        <span className="curve-files nowrap">
          <a className="button quiet small" href={csv} download><Icon name="download" />CSV</a>
          <Button small kind="quiet" icon="download" onClick={save}>PNG</Button>
        </span>
      </div>
      <div
        ref={holder} className="curve-plot" role="application" tabIndex={0} aria-describedby={hint} onKeyDown={onKey} style={{ height }}
        aria-label={`${title}: ${lines.filter((line) => !line.faint).map((line) => `${line.name} ${valueAt(data[lines.indexOf(line) + 1]!, steps.length - 1)}`).join(", ")}`}
      />
      <p className="muted small curve-hint" id={hint}><span>{t("curve.hint")}</span> <span>{t("curve.keys")}</span></p>
      <p className="visually-hidden" role="status">{spoken}</p>
    </figure>
  );
}

const point = (u: uPlot, step: number) => u.setCursor({ left: u.valToPos(step, "x"), top: u.over.clientHeight / 2 });

function valueAt(column: (number | null | undefined)[], at: number): string {
  const value = column[known(column, at)];
  return typeof value === "number" ? measure(value) : "–";
}
