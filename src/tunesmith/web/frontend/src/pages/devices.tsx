import type { About } from "../api/types";
import { t } from "../i18n";

/** Which devices a run takes, where there are several; null: all. */
export function DeviceChoice({ about, chosen, onChange }: { about: About | undefined; chosen: string[] | null; onChange: (chosen: string[] | null) => void }) {
  if (!about || about.devices.length < 2) return null;
  const now = chosen ?? about.devices.map((device) => device.id);
  const turn = (id: string) => {
    const next = now.includes(id) ? now.filter((one) => one !== id) : [...now, id];
    onChange(next.length && next.length < about.devices.length ? next : null);
  };
  return (
    <fieldset className="stack tight">
      <legend><strong>{t("train.devices")}</strong></legend>
      {about.devices.map((device) => <label key={device.id} className="row small"><input type="checkbox" checked={now.includes(device.id)} onChange={() => turn(device.id)} />{device.name}</label>)}
    </fieldset>
  );
}
