import { get } from "../api/client";
import type { About, DoctorFinding } from "../api/types";
import { useResource } from "../api/use";
import { bytes, t } from "../i18n";
import { Icon } from "../ui/icons";
import { Button, Failure, Page, Waiting } from "../ui/parts";

const ICONS = { pass: ["good", "good"], warn: ["warn", "warn"], fail: ["warn", "bad"] } as const;

export function SettingsPage() {
  const about = useResource<About>("about", (signal) => get("about", {}, signal));
  const doctor = useResource<DoctorFinding[]>("doctor", (signal) => get("doctor", {}, signal));
  const facts: [string, string][] = about.data ? [
    [t("about.version"), about.data.version], [t("about.workspace"), about.data.workspace], [t("about.python"), about.data.python],
    [t("about.devices"), about.data.devices.map((device) => `${device.name} (${bytes(device.memory)})`).join(", ")],
    [t("about.memory"), `${bytes(about.data.memory_free)} / ${bytes(about.data.memory_total)}`], [t("about.disk"), bytes(about.data.disk_free)],
  ] : [];
  return (
    <Page title={t("settings.title")} lead={t("settings.lead")}>
      <section className="card">
        <header><h2>{t("settings.machine")}</h2></header>
        {about.error && <Failure error={about.error} retry={about.reload} />}
        {!about.data && !about.error && <Waiting rows={4} />}
        {about.data && <dl className="pairs">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>}
      </section>
      <section className="card flush">
        <header><h2>{t("settings.doctor")}</h2><Button small icon="again" busy={doctor.loading} onClick={doctor.reload}>{t("again")}</Button></header>
        {doctor.error && <div style={{ padding: "0 var(--s5) var(--s5)" }}><Failure error={doctor.error} /></div>}
        {!doctor.data && !doctor.error && <Waiting rows={6} />}
        <ul className="list" style={{ marginTop: "var(--s3)" }}>
          {doctor.data?.map((finding) => {
            const [icon, tone] = ICONS[finding.status];
            return <li key={finding.what} className="finding"><span className={tone}><Icon name={icon} /><span className="visually-hidden">{t(`doctor.${finding.status}`)}</span></span><div><strong>{finding.what}</strong><p className="muted">{finding.detail}</p>{finding.fix && <p className="small">{finding.fix}</p>}</div></li>;
          })}
        </ul>
      </section>
    </Page>
  );
}
