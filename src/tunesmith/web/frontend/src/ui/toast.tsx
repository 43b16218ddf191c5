import { useEffect, useState, useSyncExternalStore } from "react";
import { createPortal } from "react-dom";
import { told } from "../api/use";
import { t } from "../i18n";
import { parseRoute, useRoute, type Route } from "../router";
import { Confirm, useTopDialog, type Question } from "./dialog";
import { Button, Note } from "./parts";
import { Said } from "./said";

/** offer: what may be done next, asked about before it is. */
export interface Toast { id: number; tone: "good" | "bad"; text: string; hint: string; page: string; offer?: Question }
let toasts: Toast[] = [];
let next = 1;
const watchers = new Set<() => void>();
const change = (now: Toast[]) => { toasts = now; watchers.forEach((tell) => tell()); };
const drop = (id: number) => change(toasts.filter((toast) => toast.id !== id));

const pageOf = ({ page, id }: Route) => `${page}/${id}`;

/** The last three, each said once: rows that are saved one after another are no pile of the same. */
export const joined = (shown: Toast[], toast: Toast): Toast[] => [...shown.filter(({ tone, text }) => tone !== toast.tone || text !== toast.text).slice(-2), toast];

/** Whether it is about the page that it was said on. */
const staysThere = (toast: Toast) => toast.tone === "bad" || toast.offer !== undefined;

export function say(text: string, tone: Toast["tone"] = "good", hint = "", offer?: Question): void {
  const id = next++;
  const toast = { id, tone, text, hint, page: pageOf(parseRoute(location.hash)), offer };
  change(joined(toasts, toast));
  setTimeout(() => drop(id), staysThere(toast) ? 12_000 : 4_000);
}

/** Runs something and says so if it fails; whether it worked. */
export async function attempt(work: () => Promise<unknown>, done?: string, offer?: Question): Promise<boolean> {
  try {
    await work();
    if (done) say(done, "good", "", offer);
    return true;
  } catch (reason) {
    const error = told(reason);
    say(error.status === 0 ? t("error.unreachable") : error.message, "bad", error.hint);
    return false;
  }
}

/** Above an open dialog, which makes all outside it unreachable. An error goes with the page that it was said on, and so does
 * what offers something. */
export function Toasts() {
  const shown = useSyncExternalStore((tell) => (watchers.add(tell), () => void watchers.delete(tell)), () => toasts);
  const page = pageOf(useRoute());
  const dialog = useTopDialog();
  const [question, setQuestion] = useState<Question | null>(null);
  useEffect(() => { if (toasts.some((toast) => staysThere(toast) && toast.page !== page)) change(toasts.filter((toast) => !staysThere(toast) || toast.page === page)); }, [page]);
  const said = (
    <div className="toasts" aria-live="polite">
      {shown.map((toast) => (
        <Note key={toast.id} tone={toast.tone} action={<>
          {toast.offer && <Button small danger={toast.offer.danger} onClick={() => { setQuestion(toast.offer!); drop(toast.id); }}>{toast.offer.action}</Button>}
          <Button kind="quiet" small icon="close" title={t("close")} onClick={() => drop(toast.id)} />
        </>}>
          <p><Said text={toast.text} /></p>
          {toast.hint && <p><Said text={toast.hint} /></p>}
        </Note>
      ))}
    </div>
  );
  return <>{createPortal(said, dialog ?? document.body)}{question && <Confirm question={question} onClose={() => setQuestion(null)} />}</>;
}
