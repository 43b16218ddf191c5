const PATHS = {
  runs: "M3 12h4l3-8 4 16 3-8h4",
  train: "M12 3v4m0 10v4M3 12h4m10 0h4M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z",
  data: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3Zm0 0v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  chat: "M4 5h16v11H9l-5 4V5Zm4 4h8m-8 3h5",
  export: "M12 15V3m0 0L8 7m4-4 4 4M4 14v6h16v-6",
  evaluate: "M4 20V10m5 10V4m5 16v-7m5 7V8",
  settings: "M4 7h10m4 0h2M4 17h2m4 0h10M16 5v4M8 15v4",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 4 4",
  plus: "M12 5v14M5 12h14", close: "M6 6l12 12M18 6 6 18", check: "m5 12 5 5 9-10", back: "m14 6-6 6 6 6", next: "m10 6 6 6-6 6",
  up: "m6 15 6-6 6 6", down: "m6 9 6 6 6-6", stop: "M7 7h10v10H7Z", play: "M8 5v14l11-7L8 5Z", kill: "M13 3 5 14h6l-1 7 8-11h-6l1-7Z",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13", copy: "M9 9h11v11H9V9ZM5 15H4V4h11v1", download: "M12 4v11m0 0-4-4m4 4 4-4M4 19h16",
  upload: "M12 16V5m0 0L8 9m4-4 4 4M4 19h16", edit: "m4 20 1-4L16 5l3 3L8 19l-4 1Z", again: "M20 12a8 8 0 1 1-2.3-5.7M20 4v4h-4",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 8v6m0-9.5v.5", warn: "M12 4 2.5 20h19L12 4Zm0 6v5m0 2.5v.5", good: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm-4 9 3 3 5-6",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-6v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.4M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19",
  moon: "M20 14a8 8 0 0 1-10-10 8 8 0 1 0 10 10Z", auto: "M12 4a8 8 0 1 0 0 16V4Z",
  tag: "M4 4h8l8 8-8 8-8-8V4Zm4 4v.1", send: "M4 12 20 4l-6 16-3-7-7-1Z", compare: "M8 4v16M16 4v16M3 8l5-4 5 4M11 16l5 4 5-4", file: "M6 3h8l4 4v14H6V3Zm8 0v4h4", book: "M4 5c3-1 6-1 8 1 2-2 5-2 8-1v14c-3-1-6-1-8 1-2-2-5-2-8-1V5Zm8 1v14", user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4 20c1-4 4-6 8-6s7 2 8 6", table: "M4 5h16v14H4V5Zm0 5h16M10 5v14",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name, className }: { name: IconName; className?: string }) {
  return (
    <svg viewBox="0 0 24 24" className={className} fill="none" stroke="currentColor" strokeWidth="1.7" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export const Mark = () => (
  <svg viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="var(--accent)" />
    <path d="M11 7v8a5 5 0 0 0 10 0V7M16 20v6" stroke="var(--accent-ink)" strokeWidth="2.6" fill="none" strokeLinecap="round" />
  </svg>
);
