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
