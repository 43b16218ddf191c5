import { number, t } from "../i18n";
import { Button } from "./parts";

/** Goes through a long list by pages. count: how many are shown from `offset` on; total: of how many. */
export function Pager({ offset, count, total, size, onGo }: { offset: number; count: number; total: number; size: number; onGo: (offset: number) => void }) {
  return (
    <footer className="row apart pager">
      <Button small icon="back" disabled={offset === 0} onClick={() => onGo(Math.max(0, offset - size))}>{t("rows.previous")}</Button>
      <span className="muted small" role="status">{count > 0 && t("evaluation.range", { from: number(offset + 1), to: number(offset + count), total: number(total) })}</span>
      <Button small after="next" disabled={offset + count >= total} onClick={() => onGo(offset + size)}>{t("rows.next")}</Button>
    </footer>
  );
}
