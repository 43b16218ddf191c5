import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { measure, t, useLanguage, written } from "../i18n";
import { Button } from "../ui/parts";
import { align, type Point } from "./data";

export interface Line { name: string; points: Point[]; colour: string; faint?: boolean; dots?: boolean; dash?: boolean }
interface Props { title: string; lines: Line[]; log?: boolean; height?: number; mark?: { step: number; text: string } | null; onZoom?: (range: [number, number] | null) => void; fileName?: string }

/** A CSS colour variable as the canvas takes it. */
function colour(variable: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

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

export function Curve({ title, lines, log = false, height = 320, mark, onZoom, fileName = "curve" }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const zoomed = useRef<[number, number] | null>(null);
  const marked = useRef(mark);
  const [at, setAt] = useState<number | null>(null);
  const [isZoomed, setZoomed] = useState(false);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const theme = useTheme();
  const language = useLanguage();
  marked.current = mark;
  const data = useMemo(() => align(lines.map((line) => line.points)), [lines]);
  const shape = lines.map((line) => `${line.name}|${line.colour}|${line.faint}|${line.dots}|${line.dash}`).join();

  useEffect(() => {
    const box = holder.current!;
    const [ink, grid, paper] = [colour("--muted"), colour("--line"), colour("--ink")];
    const axis = { gap: 6, stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 }, font: `12px ${getComputedStyle(document.body).fontFamily}` };
    const zoom = (range: [number, number] | null) => {
      zoomed.current = range;
      setZoomed(range !== null);
      onZoom?.(range);
    };
    const u = new uPlot({
      width: box.clientWidth, height,
      legend: { show: false },
      cursor: { points: { size: 7 }, drag: { x: true, y: false, setScale: true }, bind: {
        dblclick: (self) => () => { self.setScale("x", { min: self.data[0][0]!, max: self.data[0].at(-1)! }); zoom(null); return null; },
      } },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
      axes: [
        { ...axis, values: (_, splits) => splits.map((split) => (Number.isInteger(split) ? new Intl.NumberFormat(language, { notation: split >= 1e5 ? "compact" : "standard" }).format(split) : "")) },
        { ...axis, size: 64, values: (_, splits) => splits.map((split) => (split === null ? "" : Math.abs(split) < 1e-3 ? written(Number(split.toPrecision(4))) : new Intl.NumberFormat(language, { maximumSignificantDigits: 4 }).format(split))) },
      ],
      series: [{}, ...lines.map((line) => ({
        label: line.name, show: !hidden.has(line.name), stroke: colour(line.colour), width: line.faint ? 1 : 2, alpha: line.faint ? 0.32 : 1, dash: line.dash ? [5, 4] : undefined,
        points: { show: (self: uPlot) => Boolean(line.dots) || self.data[0].length === 1, size: 6, fill: colour(line.colour) },
      }))],
      hooks: {
        setCursor: [(self) => setAt(self.cursor.idx ?? null)],
        setSelect: [(self) => self.select.width > 4 && zoom([self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x")])],
        draw: [(self) => drawMark(self, marked.current, paper)],
      },
    }, data as uPlot.AlignedData, box);
    plot.current = u;
    const size = new ResizeObserver(() => u.setSize({ width: box.clientWidth, height }));
    size.observe(box);
    return () => { size.disconnect(); u.destroy(); plot.current = null; };
    // The plot is built anew only when its shape changes; new data is set below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, log, height, theme, language]);

  useEffect(() => {
    const u = plot.current;
    if (!u || u.data === (data as unknown)) return;
    u.setData(data as uPlot.AlignedData, zoomed.current === null);
    if (zoomed.current) u.setScale("x", { min: zoomed.current[0], max: zoomed.current[1] });
  }, [data]);

  const reset = () => {
    const u = plot.current!;
    zoomed.current = null;
    setZoomed(false);
    u.setScale("x", { min: u.data[0][0]!, max: u.data[0].at(-1)! });
    onZoom?.(null);
  };
  const toggle = (line: Line, n: number) => {
    const next = new Set(hidden);
    if (!next.delete(line.name)) next.add(line.name);
    setHidden(next);
    plot.current?.setSeries(n + 1, { show: !next.has(line.name) });
  };
  const shownAt = at ?? data[0].length - 1;
  return (
    <figure className="curve" aria-label={title}>
      <div className="curve-legend">
        <span className="muted small nowrap">{t("curve.step")} <strong>{data[0][shownAt] === undefined ? "–" : measure(data[0][shownAt])}</strong></span>
        <span className="curve-keys" role="group" aria-label={t("curve.lines")}>
          {lines.map((line, n) => (
            <button key={line.name} type="button" className="curve-key" aria-pressed={!hidden.has(line.name)} onClick={() => toggle(line, n)}>
              <i className={line.faint ? "faint" : line.dots ? "dots" : line.dash ? "dash" : undefined} style={{ color: `var(${line.colour})` }} />{line.name} <strong>{valueAt(data[n + 1]!, shownAt)}</strong>
            </button>
          ))}
        </span>
        <span className="grow" />
        {isZoomed && <Button small kind="quiet" icon="again" onClick={reset}>{t("curve.reset")}</Button>}
        <Button small kind="quiet" icon="download" onClick={() => plot.current && savePng(plot.current, fileName)}>PNG</Button>
      </div>
      <div ref={holder} role="img" aria-label={`${title}: ${lines.filter((line) => !line.faint).map((line) => `${line.name} ${valueAt(data[lines.indexOf(line) + 1]!, data[0].length - 1)}`).join(", ")}`} style={{ height }} />
    </figure>
  );
}

/** The value at a place, or the last one before it. */
function valueAt(column: (number | null | undefined)[], at: number): string {
  for (let n = at; n >= 0; n--) if (typeof column[n] === "number") return measure(column[n] as number);
  return "–";
}

function drawMark(u: uPlot, mark: Props["mark"], ink: string) {
  if (!mark || mark.step < u.scales.x!.min! || mark.step > u.scales.x!.max!) return;
  const x = Math.round(u.valToPos(mark.step, "x", true));
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.font = `${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  const right = x > bbox.left + bbox.width / 2;
  ctx.textAlign = right ? "right" : "left";
  ctx.fillText(mark.text, x + (right ? -6 : 6) * ratio, bbox.top + 14 * ratio);
  ctx.restore();
}

function savePng(u: uPlot, name: string) {
  const source = u.ctx.canvas;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [source.width, source.height];
  const context = canvas.getContext("2d")!;
  context.fillStyle = colour("--surface");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0);
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = `${name}.png`;
  link.click();
}
