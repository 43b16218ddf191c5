// Numbers of a curve, apart from drawing it.
import type { Row } from "../api/events";
import type { Series } from "../api/types";

export type Point = [step: number, value: number | null];

/** Exponential moving average, corrected for its start at zero; a gap stays a gap and does not enter the average. */
export function smooth(points: Point[], weight: number): Point[] {
  let average = 0, mass = 0;
  return points.map(([step, value]) => {
    if (value === null || !Number.isFinite(value)) return [step, null];
    average = weight * average + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return [step, average / mass];
  });
}

/** How much a curve of so many points is smoothed: short ones little, as LLaMA Board draws them. */
export const usualWeight = (points: number): number => Math.round(100 * 1.8 * (1 / (1 + Math.exp(-0.02 * points)) - 0.5)) / 100;

/** Columns over all steps of several lines; undefined where a line has nothing there, null where its value is no number. */
export function align(lines: Point[][]): [number[], ...(number | null | undefined)[][]] {
  const steps = [...new Set(lines.flatMap((line) => line.map(([step]) => step)))].sort((a, b) => a - b);
  const at = new Map(steps.map((step, n) => [step, n]));
  const columns = lines.map((line) => {
    const column: (number | null | undefined)[] = new Array(steps.length).fill(undefined);
    for (const [step, value] of line) column[at.get(step)!] = value;
    return column;
  });
  return [steps, ...columns];
}

const NOT_METRICS = new Set(["step", "time", "attempt"]);

/** The series with new rows at their ends. Null when a row goes back (a resumed run), so that all has to be read anew. */
export function extended(series: Series, rows: Row[]): Series | null {
  const next: Series = { ...series };
  const copied = new Set<string>();
  for (const row of rows) {
    for (const [name, value] of Object.entries(row)) {
      if (NOT_METRICS.has(name) || (typeof value !== "number" && value !== null)) continue;
      const line = next[name] ?? [];
      const last = line.at(-1);
      if (last && row.step <= last[0]) {
        if (line.some(([step, old]) => step === row.step && old === value) || row.step < (line[0]?.[0] ?? 0)) continue;
        if (line.some(([step]) => step === row.step)) return null;
        continue; // thinned out by the server
      }
      if (!copied.has(name)) {
        copied.add(name);
        next[name] = [...line];
      }
      next[name]!.push([row.step, value]);
    }
  }
  return next;
}

export function lowest(points: Point[]): Point | null {
  return points.reduce<Point | null>((best, point) => (point[1] !== null && (best === null || point[1] < best[1]!) ? point : best), null);
}

export const FAMILIES = ["loss", "learning_rate", "grad_norm", "tokens_per_second", "memory_gb"] as const;

/** Names of metrics, one group per picture: losses together, everything that is in no known group by itself. */
export function pictures(series: Series): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const name of Object.keys(series)) {
    if (["epoch", "tokens", "trained_tokens"].includes(name)) continue;
    const group = /(^|_)loss$/.test(name) ? "loss" : name.replace(/^eval_/, "");
    (groups[group] ??= []).push(name);
  }
  const order = [...FAMILIES.filter((name) => groups[name]), ...Object.keys(groups).filter((name) => !(FAMILIES as readonly string[]).includes(name)).sort()];
  return Object.fromEntries(order.map((name) => [name, groups[name]!.sort((a, b) => a.length - b.length)]));
}

/** A curve of which a part was read more closely: there it takes the place of what was thinned. */
export function closer(points: Point[], part: Point[] | undefined, [from, to]: [number, number]): Point[] {
  if (!part) return points;
  const inside = part.filter(([step]) => step >= from && step <= to);
  return [...points.filter(([step]) => step < from), ...inside, ...points.filter(([step]) => step > Math.max(to, inside.at(-1)?.[0] ?? to))];
}

/** Round numbers between two on a logarithmic scale: 1, 2, 5, 10 …, and where these are too few, an even grid. */
export function logTicks(low: number, high: number): number[] {
  if (!(low > 0) || !(high > low)) return [];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const lead of [1, 2, 5]) {
      const tick = Number(`${lead}e${power}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  if (ticks.length > 12) return ticks.filter((tick) => /^1(e|$)/.test(tick.toExponential().replace("e+", "e")));
  if (ticks.length > 2) return ticks;
  const rough = (high - low) / 4;
  const power = Math.floor(Math.log10(rough));
  const gap = [1, 2, 5, 10].find((lead) => lead * 10 ** power >= rough)! * 10 ** power;
  const grid: number[] = [];
  for (let n = Math.ceil(low / gap); n * gap <= high; n++) grid.push(Number((n * gap).toPrecision(6)));
  return grid;
}

/** The place that a key moves the cursor to, among the steps that are seen; null where it is no such key. */
export function moved(steps: number[], [from, to]: [number, number], at: number | null, key: string, far: boolean): number | null {
  const first = steps.findIndex((step) => step >= from);
  const last = steps.findLastIndex((step) => step <= to);
  if (first < 0 || last < first) return null;
  const by = far ? Math.max(1, Math.round((last - first) / 10)) : 1;
  if (key === "Home") return first;
  if (key === "End") return last;
  if (key !== "ArrowLeft" && key !== "ArrowRight") return null;
  if (at === null || at < first || at > last) return key === "ArrowLeft" ? last : first;
  return Math.min(last, Math.max(first, at + (key === "ArrowLeft" ? -by : by)));
}

/** A part of the curve around a step, larger or smaller by a factor; null for all of it. */
export function zoomedAround([from, to]: [number, number], [start, end]: [number, number], step: number, factor: number): [number, number] | null {
  const width = Math.max(2, (to - from) * factor);
  if (width >= end - start) return null;
  const low = Math.min(end - width, Math.max(start, step - width / 2));
  return [low, low + width];
}

/** The place of a value, or of the last one before it; the place itself where there is none. */
export function known(column: ArrayLike<number | null | undefined>, at: number): number {
  for (let n = at; n >= 0; n--) if (typeof column[n] === "number") return n;
  return at;
}
