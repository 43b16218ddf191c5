import { useState, type ReactNode } from "react";
import type { ApiError } from "../api/client";
import { told } from "../api/use";
import { t } from "../i18n";
import { Confirm } from "../ui/dialog";

/** Asks before code that ships with a model is run; the server's refusal names the model. */
export const Trust = ({ refusal, run, onClose }: { refusal: ApiError; run: () => Promise<unknown>; onClose: () => void }) => (
  <Confirm onClose={onClose} question={{ title: t("trust.title"), text: `${refusal.message} ${refusal.hint}`, action: t("trust.action"), danger: true, run }} />
);

export const asksForTrust = (refusal: ApiError) => refusal.field === "trust_remote_code" && refusal.status === 409;

/** Starts a job, and asks first where it would run a model's own code. asked: the question, while it is open. */
export function useStart(begin: (trusted: boolean) => Promise<unknown>) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [asking, setAsking] = useState<ApiError | null>(null);
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      await begin(false);
    } catch (reason) {
      const refusal = told(reason);
      if (asksForTrust(refusal)) setAsking(refusal);
      else setError(refusal);
    }
    setBusy(false);
  };
  const asked: ReactNode = asking && <Trust refusal={asking} run={() => begin(true)} onClose={() => setAsking(null)} />;
  return { busy, error, start, asked };
}
