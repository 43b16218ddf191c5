import { useKept } from "../api/use";
import { named, t } from "../i18n";
import { Pick } from "../ui/parts";

/** How curves are shown, the same on a run's page and where runs are compared. weight: null where each curve has its usual one. */
export function useCurveLook() {
  const [log, setLog] = useKept("curve.log", false);
  const [weight, setWeight] = useKept<number | null>("curve.smoothing", null);
  return { log, setLog, weight, setWeight };
}

/** Which curve, and how. weight: null where there is nothing to smooth. */
export function CurveTools({ picture, names, choose, weight, look }: { picture: string; names: string[]; choose: (name: string) => void; weight: number | null; look: ReturnType<typeof useCurveLook> }) {
  return (
    <header className="curve-tools">
      <Pick label={t("curve.which")} value={picture} onChange={choose} options={names.map((name) => [name, named("metric", name)] as const)} />
      <div className="row">
        {weight !== null && <label className="row small muted">{t("curve.smoothing")}
          <input type="range" min={0} max={0.99} step={0.01} value={weight} onChange={(event) => look.setWeight(Number(event.target.value))} style={{ width: 96 }} />
        </label>}
        <label className="row small muted nowrap"><input type="checkbox" checked={look.log} onChange={(event) => look.setLog(event.target.checked)} />{t("curve.log")}</label>
      </div>
    </header>
  );
}
