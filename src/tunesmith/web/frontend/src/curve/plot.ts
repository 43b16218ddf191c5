// How a curve is drawn by uPlot: the same on the page and, larger, in a picture that is kept.
import uPlot from "uplot";
import { written } from "../i18n";
import { known, logTicks, type Point } from "./data";

export interface Line { name: string; points: Point[]; colour: string; faint?: boolean; dots?: boolean; dash?: boolean }
export interface Mark { step: number; text: string }
export interface Look {
  lines: Line[]; log: boolean; width: number; height: number; language: string; hidden: ReadonlySet<string>; mark: () => Mark | null | undefined;
  /** How much larger than on the page all is drawn. */
  scale?: number;
  /** What the axes are called; without them they have no names. */
  names?: [x: string, y: string];
}

/** A CSS colour variable as the canvas takes it. */
export function colour(variable: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

export const fontOf = (size: number, weight = 400) => `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;

export function optionsFor({ lines, log, width, height, language, hidden, mark, scale = 1, names }: Look): uPlot.Options {
  const [ink, grid, strong] = [colour("--muted"), colour("--line"), colour("--ink")];
  const axis = { gap: 6 * scale, stroke: ink, grid: { stroke: grid, width: scale }, ticks: { stroke: grid, width: scale, size: 4 * scale }, font: fontOf(12 * scale), labelFont: fontOf(12 * scale), labelGap: 0, labelSize: 20 * scale };
  return {
    width, height,
    legend: { show: false },
    ...(names ? { padding: [8 * scale, 20 * scale, 8 * scale, 8 * scale] } : {}),
    // A dot lies on the value that the legend names: the one at the cursor, or the last before it.
    cursor: { points: { size: 7 }, dataIdx: (self, series, at) => (series ? known(self.data[series]!, at) : at), drag: { x: true, y: false, setScale: true } },
    scales: { x: { time: false }, y: log ? { distr: 3, range: (_, low, high) => [low / 1.08, high * 1.08] } : { distr: 1 } },
    axes: [
      { ...axis, space: 50 * scale, size: 36 * scale, label: names?.[0], values: (_, splits) => splits.map((split) => (Number.isInteger(split) ? new Intl.NumberFormat(language, { notation: split >= 1e5 ? "compact" : "standard" }).format(split) : "")) },
      {
        ...axis, space: 30 * scale, size: 64 * scale, label: names?.[1],
        ...(log ? { splits: (_: uPlot, __: number, low: number, high: number) => logTicks(low, high), filter: (_: uPlot, splits: number[]) => splits } : {}),
        values: (_, splits) => splits.map((split) => (split === null ? "" : Math.abs(split) < 1e-3 ? written(Number(split.toPrecision(4))) : new Intl.NumberFormat(language, { maximumSignificantDigits: 4 }).format(split))),
      },
    ],
    series: [{}, ...lines.map((line) => ({
      label: line.name, show: !hidden.has(line.name), stroke: colour(line.colour), width: (line.faint ? 1 : 2) * scale, alpha: line.faint ? 0.32 : 1, dash: line.dash ? [5 * scale, 4 * scale] : undefined,
      points: { show: (self: uPlot) => Boolean(line.dots) || self.data[0].length === 1, size: 6 * scale, fill: colour(line.colour) },
    }))],
    hooks: { draw: [(self) => drawMark(self, mark(), strong, scale)] },
  };
}

function drawMark(u: uPlot, mark: Mark | null | undefined, ink: string, scale: number) {
  if (!mark || mark.step < u.scales.x!.min! || mark.step > u.scales.x!.max!) return;
  const x = Math.round(u.valToPos(mark.step, "x", true));
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio * scale;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.lineWidth = scale;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.font = fontOf(12 * ratio);
  const right = x > bbox.left + bbox.width / 2;
  ctx.textAlign = right ? "right" : "left";
  ctx.fillText(mark.text, x + (right ? -6 : 6) * ratio, bbox.top + 14 * ratio);
  ctx.restore();
}
