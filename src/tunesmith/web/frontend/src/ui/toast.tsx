import { useEffect, useSyncExternalStore } from "react";
import { createPortal } from "react-dom";
import { told } from "../api/use";
import { t } from "../i18n";
import { parseRoute, useRoute, type Route } from "../router";
import { useTopDialog } from "./dialog";
import { Button, Note } from "./parts";
import { Said } from "./said";

interface Toast { id: number; tone: "good" | "bad"; text: string; hint: string; page: string }
let toasts: Toast[] = [];
let next = 1;
const watchers = new Set<() => void>();
const change = (now: Toast[]) => { toasts = now; watchers.forEach((tell) => tell()); };
const drop = (id: number) => change(toasts.filter((toast) => toast.id !== id));

const pageOf = ({ page, id }: Route) => `${page}/${id}`;

export function say(text: string, tone: Toast["tone"] = "good", hint = ""): void {
  const id = next++;
  change([...toasts.slice(-2), { id, tone, text, hint, page: pageOf(parseRoute(location.hash)) }]);
  setTimeout(() => drop(id), tone === "bad" ? 12_000 : 4_000);
}

/** Runs something and says so if it fails; whether it worked. */
export async function attempt(work: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await work();
    if (done) say(done);
    return true;
  } catch (reason) {
    const error = told(reason);
    say(error.status === 0 ? t("error.unreachable") : error.message, "bad", error.hint);
    return false;
  }
}

/** Above an open dialog, which makes all outside it unreachable. An error goes with the page that it was said on. */
export function Toasts() {
  const shown = useSyncExternalStore((tell) => (watchers.add(tell), () => void watchers.delete(tell)), () => toasts);
  const page = pageOf(useRoute());
  const dialog = useTopDialog();
  useEffect(() => { if (toasts.some((toast) => toast.tone === "bad" && toast.page !== page)) change(toasts.filter((toast) => toast.tone !== "bad" || toast.page === page)); }, [page]);
  return createPortal(
    <div className="toasts" aria-live="polite">
      {shown.map((toast) => (
        <Note key={toast.id} tone={toast.tone} action={<Button kind="quiet" small icon="close" title={t("close")} onClick={() => drop(toast.id)} />}>
          <p><Said text={toast.text} /></p>
          {toast.hint && <p><Said text={toast.hint} /></p>}
        </Note>
      ))}
    </div>,
    dialog ?? document.body,
  );
}
