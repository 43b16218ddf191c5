import type { Cutoff } from "../api/types";

/** What a cutoff would do, read between the cutoffs that were counted. */
export function atCutoff(cutoffs: Cutoff[], cutoff: number): Cutoff | null {
  if (!cutoffs.length) return null;
  const sorted = [...cutoffs].sort((a, b) => a.cutoff - b.cutoff);
  const above = sorted.findIndex((one) => one.cutoff >= cutoff);
  if (above === -1) return { ...sorted.at(-1)!, cutoff };
  if (above === 0 || sorted[above]!.cutoff === cutoff) return { ...sorted[above]!, cutoff };
  const [low, high] = [sorted[above - 1]!, sorted[above]!];
  const share = (cutoff - low.cutoff) / (high.cutoff - low.cutoff);
  const between = (a: number, b: number) => a + share * (b - a);
  return {
    cutoff,
    truncated_rows: Math.round(between(low.truncated_rows, high.truncated_rows)),
    truncated_tokens: Math.round(between(low.truncated_tokens, high.truncated_tokens)),
    packed_rows: Math.round(between(low.packed_rows, high.packed_rows)),
    fill: between(low.fill, high.fill),
  };
}

/** How far the axis reaches: a little over the longest row, to a round number. */
export function rangeOf(longest: number): number {
  const most = Math.max(longest * 1.05, 16);
  const step = Math.max(1, 10 ** (Math.floor(Math.log10(most)) - 1));
  return Math.ceil(most / step) * step;
}

/** Where a key moves a cutoff within 1 to `top`; null for a key that moves nothing. One beyond comes back to `top` first. */
export function pressed(key: string, cutoff: number, top: number): number | null {
  const [small, large] = [Math.max(1, Math.floor(top / 200)), Math.max(1, Math.floor(top / 10))];
  const by: Record<string, number> = { ArrowLeft: -small, ArrowDown: -small, ArrowRight: small, ArrowUp: small, PageDown: -large, PageUp: large, Home: -top, End: top };
  const step = by[key];
  if (step === undefined) return null;
  return cutoff > top ? (step > 0 ? cutoff : Math.max(1, top + step)) : Math.min(top, Math.max(1, cutoff + step));
}
