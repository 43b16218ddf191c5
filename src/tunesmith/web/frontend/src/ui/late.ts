const STILL = 600;

/** Whether a click now was meant for what stood there before it changed `at` (ms). */
export const late = (at: number, now: number): boolean => now - at < STILL;
