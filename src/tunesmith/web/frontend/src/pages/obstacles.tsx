import type { Problem, Settings } from "../api/types";
import { labelOf } from "../form/field";
import { toText } from "../form/schema";
import { t } from "../i18n";
import { href } from "../router";
import { Button } from "../ui/parts";
import { Said } from "../ui/said";

/** In the page's own words: the two things that no training can do without. */
function needed(field: string | null, settings: Settings): string | null {
  if (field === "model_name_or_path" && !settings["model_name_or_path"]) return t("train.need.model");
  return field === "dataset" && !settings["dataset"] ? t("train.need.data") : null;
}

/** What is wrong, with the run at work that is in the way as a link. */
export function ProblemText({ problem }: { problem: Problem }) {
  const { run, message } = problem;
  const [before, ...after] = run ? message.split(run) : [message];
  return (
    <>
      {run && after.length ? <><Said text={before!} /><a href={href("runs", run)}>{run}</a><Said text={after.join(run)} /></> : <Said text={message} />} <span className="muted"><Said text={problem.hint} /></span>
    </>
  );
}

/** One click that mends it, where the server knows what would. */
export function Offer({ offer, onOffer }: { offer: Settings; onOffer: (offer: Settings) => void }) {
  return <Button small onClick={() => onOffer(offer)}>{t("train.use", { value: offered(offer) })}</Button>;
}
const offered = (offer: Settings) => Object.values(offer).map((value) => toText(value)).join(", ");

interface Props {
  wrong: Problem[]; settings: Settings; placed: Set<string>; quiet: boolean;
  onShow: (name: string) => void; onLeaveOut: (name: string) => void; onOffer: (offer: Settings) => void;
}

/** What keeps the training from starting, each with the way to its field and with what would mend it. */
export function Obstacles({ wrong, settings, placed, quiet, onShow, onLeaveOut, onOffer }: Props) {
  if (!wrong.length) return null;
  return (
    <ul className="stack tight small" aria-label={t("train.missing")}>
      {wrong.map((problem, n) => {
        const { field } = problem;
        const words = needed(field, settings);
        const offer = problem.offer as Settings;
        const droppable = field !== null && field in settings && field !== "model_name_or_path" && field !== "dataset";
        return (
          <li key={n} className={quiet ? "muted" : undefined}>
            {words ?? <>{field && placed.has(field) && <><button type="button" className="link" title={t("train.show")} onClick={() => onShow(field)}>{labelOf(field)}</button>: </>}<ProblemText problem={problem} /></>}
            {!words && (offered(offer) || droppable) && (
              <div className="row" style={{ marginTop: "var(--s1)" }}>
                {offered(offer) ? <Offer offer={offer} onOffer={onOffer} /> : <Button small onClick={() => onLeaveOut(field!)}>{t("train.leave")}</Button>}
              </div>
            )}
          </li>
        );
      })}
    </ul>
  );
}
