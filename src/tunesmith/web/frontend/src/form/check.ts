import { useEffect, useState } from "react";
import { post } from "../api/client";
import { useRuns } from "../api/events";
import type { Check, Settings } from "../api/types";
import { useRested } from "../api/use";
import { useLanguage } from "../i18n";

/** What the server says of these settings, asked when the typing rests; null until it has answered. fresh: whether that
 * is about the settings as they are now. Runs that begin and end free and take folders, so it is asked again then. */
export function useChecked(verb: string, settings: Settings): { check: Check | null; fresh: boolean } {
  const now = JSON.stringify(settings);
  const key = useRested(now, 350);
  const language = useLanguage();
  const runs = useRuns();
  const states = verb === "chat" ? "" : (runs ?? []).map((run) => `${run.id} ${run.status}`).join("\n");
  const [told, setTold] = useState<{ check: Check | null; of: string }>({ check: null, of: "" });
  useEffect(() => {
    const control = new AbortController();
    post<Check>("config/check", { verb, settings: JSON.parse(key) as Settings }, control.signal).then(
      (check) => setTold({ check, of: key }),
      () => control.signal.aborted || setTold(({ check }) => ({ check, of: key })),
    );
    return () => control.abort();
  }, [verb, key, language, states]);
  return { check: told.check, fresh: told.of === now };
}

export const useCheck = (verb: string, settings: Settings): Check | null => useChecked(verb, settings).check;
