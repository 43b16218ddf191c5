import { useId, useLayoutEffect, useRef, useState, useSyncExternalStore, type KeyboardEvent, type ReactNode } from "react";
import { told } from "../api/use";
import { t } from "../i18n";
import { Button, Failure } from "./parts";
import type { ApiError } from "../api/client";

let open: HTMLDialogElement[] = [];
const watchers = new Set<() => void>();
const change = (now: HTMLDialogElement[]) => { open = now; watchers.forEach((tell) => tell()); };
/** The dialog that was opened last, which alone can be reached. */
export const useTopDialog = () => useSyncExternalStore((tell) => (watchers.add(tell), () => void watchers.delete(tell)), () => open.at(-1));

export function Dialog({ title, onClose, children, footer, narrow }: { title: string; onClose: () => void; children: ReactNode; footer?: ReactNode; narrow?: boolean }) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Closed while it is still in the page: only then does the browser give the focus back to what opened it.
  useLayoutEffect(() => {
    const dialog = box.current;
    if (!dialog) return;
    if (!dialog.open) dialog.showModal();
    change([...open, dialog]);
    return () => {
      change(open.filter((one) => one !== dialog));
      dialog.close();
    };
  }, []);
  // Enter in a line of text does what the dialog is there for.
  const submit = (event: KeyboardEvent) => {
    const from = event.target;
    if (event.key !== "Enter" || event.nativeEvent.isComposing || event.defaultPrevented) return;
    if (!(from instanceof HTMLInputElement) || ["checkbox", "radio", "file"].includes(from.type)) return;
    event.preventDefault();
    event.stopPropagation();
    box.current?.querySelector<HTMLButtonElement>(":scope > footer .primary:not(:disabled)")?.click();
  };
  return (
    <dialog ref={box} className={narrow ? "narrow" : undefined} aria-labelledby={id} onKeyDown={submit} onCancel={(event) => { event.preventDefault(); onClose(); }}>
      <header>
        <h2 id={id}>{title}</h2>
        <Button kind="quiet" small icon="close" title={t("close")} onClick={onClose} />
      </header>
      {children}
      {footer && <footer>{footer}</footer>}
    </dialog>
  );
}

export interface Question { title: string; text: ReactNode; action: string; danger?: boolean; run: () => Promise<unknown> }

/** Asks before something that can't be taken back, and stays open with the reason if it fails. */
export function Confirm({ question, onClose }: { question: Question; onClose: () => void }) {
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      await question.run();
      onClose();
    } catch (reason) {
      setError(told(reason));
      setBusy(false);
    }
  };
  return (
    <Dialog narrow title={question.title} onClose={onClose} footer={<>
      <Button onClick={onClose}>{t("cancel")}</Button>
      <Button kind="primary" danger={question.danger} busy={busy} onClick={() => void run()}>{question.action}</Button>
    </>}>
      <div className="stack">{typeof question.text === "string" ? <p>{question.text}</p> : question.text}{error && <Failure error={error} />}</div>
    </Dialog>
  );
}
