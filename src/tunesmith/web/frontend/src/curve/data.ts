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
