import type { ApiError } from "../api/client";
import { t } from "../i18n";
import { Confirm } from "../ui/dialog";

/** Asks before code that ships with a model is run; the server's refusal names the model. */
export const Trust = ({ refusal, run, onClose }: { refusal: ApiError; run: () => Promise<unknown>; onClose: () => void }) => (
  <Confirm onClose={onClose} question={{ title: t("trust.title"), text: `${refusal.message} ${refusal.hint}`, action: t("trust.action"), danger: true, run }} />
);

export const asksForTrust = (refusal: ApiError) => refusal.field === "trust_remote_code" && refusal.status === 409;
