import { useEffect, useState } from "react";
import { post } from "../api/client";
import type { Check, Settings } from "../api/types";
import { useRested } from "../api/use";
import { useLanguage } from "../i18n";

/** What the server says of these settings, asked when the typing rests; null until it has answered. */
export function useCheck(verb: string, settings: Settings): Check | null {
  const key = useRested(JSON.stringify(settings), 350);
  const language = useLanguage();
  const [check, setCheck] = useState<Check | null>(null);
  useEffect(() => {
    const control = new AbortController();
    post<Check>("config/check", { verb, settings: JSON.parse(key) as Settings }, control.signal).then(setCheck, () => undefined);
    return () => control.abort();
  }, [verb, key, language]);
  return check;
}
