import { useId, useState, type ButtonHTMLAttributes, type ReactNode } from "react";
import type { ApiError } from "../api/client";
import type { Status } from "../api/types";
import { named, t } from "../i18n";
import { Icon, type IconName } from "./icons";
import { Said } from "./said";

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & { kind?: "primary" | "quiet"; danger?: boolean; small?: boolean; icon?: IconName; after?: IconName; busy?: boolean };

/** Without children the button shows its icon alone and needs a `title`, which is its name. after: an icon behind the word. */
export function Button({ kind, danger, small, icon, after, busy, children, className = "", title, ...rest }: ButtonProps) {
  const names = ["button", kind, danger && "danger", small && "small", !children && "icon", className].filter(Boolean).join(" ");
  return (
    <button type="button" {...rest} className={names} title={title} aria-label={children ? undefined : title} disabled={rest.disabled || busy} aria-busy={busy || undefined}>
      {icon && <Icon name={icon} />}
      {children}
      {after && <Icon name={after} />}
    </button>
  );
}

export function Page({ title, lead, crumb, actions, children }: { title: string; lead?: ReactNode; crumb?: { href: string; text: string }; actions?: ReactNode; children: ReactNode }) {
  return (
    <div className="page">
      <header className="page-head">
        <div>
          {crumb && <a className="crumb" href={crumb.href}><Icon name="back" />{crumb.text}</a>}
          <h1>{title}</h1>
          {lead && <p>{lead}</p>}
        </div>
        {actions && <div className="row">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

const KEPT_END = 14;

/** A long name on one line: its middle gives way, as the end tells apart what begins alike; the whole is in its title. */
export function Clipped({ text, title = text }: { text: string; title?: string }) {
  const at = Math.max(0, text.length - KEPT_END);
  return <span className="clipped" title={title}><span>{text.slice(0, at)}</span><span>{text.slice(at)}</span></span>;
}

const TONES: Record<Status | "unstarted", string> = { unstarted: "", queued: "", starting: "run", running: "run", stopping: "warn", finished: "good", stopped: "", failed: "bad", killed: "bad" };
export const StatusBadge = ({ status }: { status: Status | "unstarted" }) => <span className="badge" data-tone={TONES[status]}>{named("status", status)}</span>;

export function Bar({ value, label, tone }: { value: number | null; label: string; tone?: string }) {
  const share = value === null ? undefined : Math.round(100 * Math.min(1, Math.max(0, value)));
  return (
    <div className={share === undefined ? "bar unknown" : "bar"} role="progressbar" aria-label={label} aria-valuenow={share} aria-valuemin={0} aria-valuemax={100}>
      <i style={{ width: share === undefined ? undefined : `${share}%`, background: tone }} />
    </div>
  );
}

const NOTE_ICONS = { info: "info", good: "good", warn: "warn", bad: "warn" } as const;
export function Note({ tone = "info", children, action }: { tone?: keyof typeof NOTE_ICONS; children: ReactNode; action?: ReactNode }) {
  return (
    <div className={`note ${tone}`} role={tone === "bad" ? "alert" : undefined}>
      <Icon name={NOTE_ICONS[tone]} />
      <div>{children}</div>
      {action}
    </div>
  );
}

export function Failure({ error, retry }: { error: Pick<ApiError, "message" | "hint"> & { status?: number }; retry?: () => void }) {
  const gone = error.status === 0;
  return (
    <Note tone="bad" action={retry && <Button small icon="again" onClick={retry}>{t("again")}</Button>}>
      <p>{gone ? t("error.unreachable") : <Said text={error.message} />}</p>
      {(gone || error.hint) && <p>{gone ? t("error.unreachable.hint") : <Said text={error.hint} />}</p>}
    </Note>
  );
}

export function Empty({ icon, title, children, actions }: { icon: IconName; title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="empty">
      <Icon name={icon} className="big" />
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {actions && <div className="row">{actions}</div>}
    </div>
  );
}

export function Waiting({ rows = 4 }: { rows?: number }) {
  return (
    <div className="stack" role="status" aria-label={t("loading")} style={{ padding: "var(--s5)" }}>
      {Array.from({ length: rows }, (_, n) => <div key={n} className="skeleton" style={{ width: `${88 - ((n * 17) % 40)}%` }} />)}
    </div>
  );
}

export function Pick<V extends string>({ label, value, options, onChange }: { label: string; value: V; options: readonly (readonly [V, string])[]; onChange: (value: V) => void }) {
  const name = useId();
  return (
    <fieldset className="pick">
      <legend className="visually-hidden">{label}</legend>
      {options.map(([option, text]) => (
        <label key={option}>
          <input type="radio" name={name} checked={option === value} onChange={() => onChange(option)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

/** A choice of views that the address remembers. */
export function Tabs({ label, current, tabs }: { label: string; current: string; tabs: [id: string, text: string, href: string][] }) {
  return (
    <nav className="pick" aria-label={label} style={{ justifySelf: "start" }}>
      {tabs.map(([id, text, href]) => <a key={id} href={href} aria-current={id === current ? "page" : undefined}>{text}</a>)}
    </nav>
  );
}

export function Search({ value, onChange, label }: { value: string; onChange: (text: string) => void; label: string }) {
  return (
    <div className="search">
      <Icon name="search" />
      <input type="search" value={value} onChange={(event) => onChange(event.target.value)} placeholder={label} aria-label={label} />
    </div>
  );
}

export function Labelled({ label, help, children, wide, mono }: { label: string; help?: ReactNode; children: (id: string) => ReactNode; wide?: boolean; mono?: string }) {
  const id = useId();
  return (
    <div className={wide ? "field wide" : "field"}>
      <div className="name"><label htmlFor={id}>{label}</label>{mono && <span className="key" title={mono}>{mono}</span>}</div>
      {children(id)}
      {help && <p className="help">{help}</p>}
    </div>
  );
}

export function Code({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1600);
  };
  return (
    <section aria-label={label}>
      <div className="row apart" style={{ marginBottom: "var(--s1)" }}>
        <h3>{label}</h3>
        <Button kind="quiet" small icon={copied ? "check" : "copy"} onClick={() => void copy()}>{copied ? t("copied") : t("copy")}</Button>
      </div>
      <pre className="code" tabIndex={0}>{text}</pre>
    </section>
  );
}
