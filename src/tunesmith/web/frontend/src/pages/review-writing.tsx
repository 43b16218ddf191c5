import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, post, segment } from "../api/client";
import { told } from "../api/use";
import { t } from "../i18n";
import { Button, Note } from "../ui/parts";
import { Said } from "../ui/said";

const REST = 1_200;

/** busy: it is being written, or will be in a moment. */
export interface Writing { busy: boolean; error: ApiError | null; later: () => void; now: (anyway?: boolean) => void }

/** Writes a job's data set anew once the decisions on its rows rest; one that has none yet, or is at work, does so itself. */
export function useWriting(run: string, written: boolean, done: () => void): Writing {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const there = useRef(false);
  there.current = written;
  const now = useCallback((anyway = false) => {
    if (timer.current !== null) clearTimeout(timer.current);
    timer.current = null;
    setBusy(true);
    setError(null);
    post(`runs/${segment(run)}/made/write`, { anyway }).catch((reason: unknown) => setError(told(reason))).finally(() => { setBusy(false); done(); });
  }, [run, done]);
  const later = useCallback(() => {
    if (timer.current !== null) clearTimeout(timer.current);
    timer.current = there.current ? setTimeout(now, REST) : null;
    setBusy(there.current);
  }, [now]);
  useEffect(() => () => { if (timer.current !== null) now(); }, [now]);
  return { busy, error, later, now };
}

export function WritingNote({ writing, waiting, later }: { writing: Writing; waiting: number; later: boolean }) {
  const { busy, error, now } = writing;
  const clash = error?.field === "revision";
  if (!error && (!waiting || busy)) return null;
  return (
    <div style={{ padding: "0 var(--s5) var(--s4)" }}>
      {error ? (
        <Note tone="bad" action={<Button small busy={busy} onClick={() => now(clash)}>{t(clash ? "review.anyway" : "again")}</Button>}><p><Said text={error.message} /></p><p><Said text={error.hint} /></p></Note>
      ) : later ? <Note><p>{t("review.waits", { n: waiting })}</p></Note> : (
        <Note tone="warn" action={<Button small busy={busy} onClick={() => now()}>{t("review.write")}</Button>}><p>{t("review.unwritten", { n: waiting })}</p></Note>
      )}
    </div>
  );
}
