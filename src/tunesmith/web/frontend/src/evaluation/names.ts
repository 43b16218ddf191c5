import { named, t } from "../i18n";

const FAMILY = /^(bleu|rouge)-/;

/** A score as people call it: of an evaluation (`bleu-4`), or as a run reports it (`predict_bleu-4`, `predict_base_bleu-4`). */
export function scoreName(name: string): string {
  if (name.startsWith("predict_base_")) return `${scoreName(name.slice(13))} (${t("chat.base")})`;
  const bare = name.replace(/^predict_/, "");
  return FAMILY.test(bare) ? bare.toUpperCase() : named("metric", bare);
}
