import { useCallback, useEffect, useRef, useState } from "react";
import { useLanguage } from "../i18n";
import { ApiError } from "./client";
import { useLink } from "./events";

/** stale: whether the data are still those of an earlier key. */
export interface Resource<T> { data: T | undefined; error: ApiError | null; loading: boolean; stale: boolean; reload: () => void; set: (value: T) => void }

/** What a request answers, asked again when `key` or the page's language changes, on reload, and when a server that did
 * not answer is back; the old answer stays until the new is there. */
export function useResource<T>(key: string | null, ask: (signal: AbortSignal) => Promise<T>): Resource<T> {
  const [state, setState] = useState<{ of: string | null; data?: T; error: ApiError | null; loading: boolean }>({ of: key, error: null, loading: key !== null });
  const [turn, setTurn] = useState(0);
  const language = useLanguage();
  const asking = useRef(ask);
  asking.current = ask;
  useEffect(() => {
    if (key === null) return;
    const control = new AbortController();
    setState((old) => ({ ...old, error: null, loading: true }));
    asking.current(control.signal).then(
      (data) => !control.signal.aborted && setState({ of: key, data, error: null, loading: false }),
      (reason: unknown) => !control.signal.aborted && setState((old) => ({ ...old, error: told(reason), loading: false })),
    );
    return () => control.abort();
  }, [key, turn, language]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const link = useLink();
  const unreachable = useRef(false);
  unreachable.current = state.error?.status === 0;
  useEffect(() => { if (unreachable.current && (link === "live" || link === "polling")) reload(); }, [link, reload]);
  const set = useCallback((data: T) => setState((old) => ({ ...old, data, error: null })), []);
  return { data: state.data, error: state.error, loading: state.loading, stale: state.of !== key, reload, set };
}

export function told(reason: unknown): ApiError {
  if (reason instanceof ApiError) return reason;
  return new ApiError(0, reason instanceof Error ? reason.message : String(reason));
}

/** A value that follows `value` once it has rested for `wait` ms. */
export function useRested<T>(value: T, wait: number): T {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), wait);
    return () => clearTimeout(timer);
  }, [value, wait]);
  return rested;
}

/** State that this browser remembers; `clean` takes out what it must not. */
export function useKept<T>(key: string, start: T, clean: (value: T) => T = (value) => value): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => {
    try {
      const kept = localStorage.getItem(`tunesmith.${key}`);
      return kept === null ? start : (JSON.parse(kept) as T);
    } catch {
      return start;
    }
  });
  const keep = useCallback((next: T) => {
    setValue(next);
    try {
      localStorage.setItem(`tunesmith.${key}`, JSON.stringify(clean(next)));
    } catch { /* a full or forbidden store only forgets */ }
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key]);
  return [value, keep];
}
