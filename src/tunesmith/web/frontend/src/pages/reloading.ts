const EVERY = 2_000;

/** Ms to wait before something is asked for again that was asked for `at`: none where that is long ago. */
export const pauseBefore = (at: number, now: number): number => Math.max(0, at + EVERY - now);
