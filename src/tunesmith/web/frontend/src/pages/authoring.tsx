import { useMemo, useRef, useState } from "react";
import { ApiError, get, post, request, url } from "../api/client";
import type { CommandLine, Option, Problem, Settings } from "../api/types";
import { useRuns } from "../api/events";
import { told, useKept, useResource, useRested } from "../api/use";
import { Field, labelsOf } from "../form/field";
import { SettingsForm } from "../form/form";
import type { Group } from "../form/layout";
import { fieldOfOption, settingsOf, type Texts } from "../form/schema";
import { t } from "../i18n";
import { go, href, useRoute } from "../router";
import { Confirm, Dialog } from "../ui/dialog";
import { Button, Code, Failure, Labelled, Page, Waiting } from "../ui/parts";
import { FieldLabels, Said } from "../ui/said";
import { attempt } from "../ui/toast";
import { Speakers, Styles, WithChoices } from "./authoring-choices";
import { commonProblem, PARTS } from "./authoring-parts";
import { TableCard, useTables } from "./authoring-tables";

/** keyed: whether a key is typed, which goes with the start alone. */
interface Asked { sources: string[]; options: Settings; keyed: boolean }
type Kind = "make" | "roles" | "convert";
const KINDS: Kind[] = ["make", "roles", "convert"];
/** What is asked first; everything else stands below, by the schema. */
const FIRST: Record<Kind, string[]> = {
  make: ["out", "model", "base_url", "entries", "language", "format", "styles", "val_size", "price_in", "price_out"],
  roles: ["out", "role", "layout", "format", "turns", "persona"],
  convert: ["out", "instruction", "input", "output", "system", "only", "mode"],
};
const NEEDED: Record<Kind, string[]> = { make: [], roles: ["role"], convert: [] };

export function AuthoringPage() {
  const route = useRoute();
  const kind = (KINDS.find((one) => one === route.id) ?? "make") satisfies Kind;
  const options = useResource<Option[]>(kind, (signal) => get("authoring/options", { verb: kind }, signal));
  const fields = useMemo(() => (options.data ?? []).map(fieldOfOption), [options.data]);
  const ready = options.data && !options.stale;
  return (
    <Page title={t(`authoring.${kind}`)} lead={t(`authoring.${kind}.text`)} crumb={{ href: href("data"), text: t("nav.data") }}>
      {options.error && <Failure error={options.error} retry={options.reload} />}
      {!ready && !options.error && <div className="card"><Waiting rows={8} /></div>}
      {ready && <AuthoringForm key={kind} kind={kind} fields={fields} />}
    </Page>
  );
}

function AuthoringForm({ kind, fields }: { kind: Kind; fields: ReturnType<typeof fieldOfOption>[] }) {
  const [key, setKey] = useState("");
  const [texts, setTexts] = useKept<Texts>(`authoring.${kind}`, {});
  const [sources, setSources] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [command, setCommand] = useState(false);
  const [again, setAgain] = useState(false);
  const listed = sources.split("\n").map((line) => line.trim()).filter(Boolean);
  const asked: Asked = { sources: listed, options: settingsOf(texts, fields), keyed: Boolean(key.trim()) };
  const preview = usePreview(kind, asked);
  const groups: Group[] = [{ name: "making", open: true, keys: FIRST[kind] }];
  const tables = useTables(kind === "convert" ? listed : [], asked.options);
  const fine = preview.data && !preview.error && !preview.stale;
  const wrong = error ?? (fine ? null : (commonProblem(tables) ?? preview.error));
  const placed = wrong?.field && fields.some((field) => field.name === wrong.field);
  const change = (next: Texts) => { setError(null); setTexts(next); };
  const set = (name: string, text: string) => change({ ...texts, [name]: text });
  const given = (name: string) => (name === "sources" ? listed.length > 0 : Boolean(texts[name]?.trim()));
  const missing = (["sources", "out", ...(kind === "roles" ? ["role" as const] : [])] as const).find((name) => !given(name));
  const out = texts["out"]?.trim() ?? "";
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      go(href("runs", (await post<{ id: string }>(`authoring/${kind}`, { ...asked, ...(key.trim() ? { api_key: key.trim() } : {}) })).id));
    } catch (reason) {
      setError(told(reason));
    }
    setBusy(false);
  };
  const problems: Problem[] = placed ? [{ field: wrong.field, message: wrong.message, hint: wrong.hint, level: "error", offer: {}, run: null }] : [];
  const box = (name: string) => fields.filter((field) => field.name === name).map((field) => <Field key={name} field={field} text={texts[name]} problems={problems.filter((one) => one.field === name)} onChange={(text) => set(name, text)} />);
  const special = {
    role: <WithChoices key="role" field={box("role")}><Speakers sources={listed} texts={texts} onChange={(text) => set("role", text)} /></WithChoices>,
    styles: <WithChoices key="styles" field={box("styles")}><Styles texts={texts} onChange={(text) => set("styles", text)} /></WithChoices>,
  };
  const asksSomebody = kind === "make" || (kind === "roles" && (given("model") || given("base_url")));
  // A job that asks a model keeps its answers in a run of the data set's name, and goes on there.
  const before = useRuns()?.find((run) => asksSomebody && run.id === `saves/data/${out}`);
  const columns = [...new Set(tables.tables.flatMap((head) => head.columns))];
  return (
    <FieldLabels value={labelsOf(fields)}><div className="columns">
      <div className="stack">
        <Sources text={sources} listed={listed} onChange={setSources} />
        {tables.tables.map((head) => <TableCard key={head.name} head={head} texts={texts} onChange={change} />)}
        {tables.more > 0 && <p className="small muted">{t("tables.others", { n: tables.more })}</p>}
        <SettingsForm fields={fields} groups={groups} texts={texts} problems={problems} onChange={set} special={special} suggestions={Object.fromEntries(PARTS.map((part) => [part, columns]))} />
      </div>
      <aside className="side stack" aria-label={t("train.side")}>
        <section className="card stack">
          <Button kind="primary" icon="play" busy={busy} disabled={missing !== undefined} onClick={() => (before ? setAgain(true) : void start())}>{t("authoring.start")}</Button>
          {missing && <p className="small">{t(`authoring.need.${missing}`)}</p>}
          {before && <p className="small"><a href={href("runs", before.id)}>{t("authoring.before.title", { name: out })}</a> {t("authoring.before.text")}</p>}
          {error && <Failure error={error} />}
          <p className="small muted">{t(`authoring.${kind}.note`)}</p>
          {asksSomebody && <Labelled label={t("authoring.key")} help={t("authoring.key.help")}>{(id) => <input id={id} type="password" autoComplete="off" value={key} onChange={(event) => setKey(event.target.value)} />}</Labelled>}
        </section>
        <section className="card stack tight" aria-label={t("export.preview")} aria-busy={preview.loading}>
          <h2>{t("export.preview")}</h2>
          {preview.error && !error && <Failure error={preview.error} />}
          {!preview.data && !preview.error && <p className="small muted">{preview.loading ? t("export.preview.counting") : kind === "roles" && missing === "role" ? t("authoring.need.role") : t("authoring.preview.none")}</p>}
          {preview.data && !preview.error && <pre className={preview.stale ? "small stale" : "small"}>{preview.data.lines.map((line, n) => <span key={n}><Said text={line} />{"\n"}</span>)}</pre>}
        </section>
        <section className="card stack tight"><Button icon="copy" disabled={missing !== undefined} onClick={() => setCommand(true)}>{t("train.command")}</Button></section>
      </aside>
      {again && before && <Confirm onClose={() => setAgain(false)} question={{ title: t("authoring.before.title", { name: out }), text: t("authoring.before.text"), action: t("authoring.before.action"), run: start }} />}
      {command && <CommandDialog kind={kind} asked={asked} onClose={() => setCommand(false)} />}
    </div></FieldLabels>
  );
}

/** What to type on the command line for the same. */
function CommandDialog({ kind, asked, onClose }: { kind: Kind; asked: Asked; onClose: () => void }) {
  const command = useResource<CommandLine>("command", (signal) => post(`authoring/${kind}/command`, asked, signal));
  return (
    <Dialog title={t("train.command")} onClose={onClose}>
      {command.error && <Failure error={command.error} />}
      {!command.data && !command.error && <Waiting rows={5} />}
      {command.data && <div className="stack"><Code label="bash" text={command.data.bash} /><Code label="PowerShell" text={command.data.powershell} />{command.data.key_variable && <p className="muted small"><Said text={t("command.key", { variable: command.data.key_variable })} /></p>}</div>}
    </Dialog>
  );
}

/** What a dry run tells of it, asked for when the typing rests. */
function usePreview(kind: Kind, asked: Asked) {
  const whole = asked.sources.length > 0 && NEEDED[kind].every((name) => asked.options[name]);
  const now = whole ? JSON.stringify(asked) : "";
  const key = useRested(now, 900);
  const found = useResource<{ lines: string[] }>(key || null, (signal) => post(`authoring/${kind}/preview`, JSON.parse(key), signal));
  return { ...found, stale: found.stale || key !== now };
}

function Sources({ text, listed, onChange }: { text: string; listed: string[]; onChange: (text: string) => void }) {
  const known = useResource<string[]>("documents", (signal) => get("documents", {}, signal));
  const [busy, setBusy] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const upload = async (files: FileList | null) => {
    setBusy(true);
    const paths: string[] = [];
    for (const file of files ?? []) await attempt(async () => paths.push((await request<{ path: string }>("POST", url("documents/upload", { name: file.name }), file)).path));
    onChange([...listed, ...paths].join("\n"));
    known.reload();
    setBusy(false);
  };
  const toggle = (path: string) => onChange((listed.includes(path) ? listed.filter((one) => one !== path) : [...listed, path]).join("\n"));
  return (
    <section className="card stack">
      <Labelled label={t("authoring.sources")} help={t("authoring.sources.help")}>{(id) => <textarea id={id} className="mono" rows={3} value={text} spellCheck={false} onChange={(event) => onChange(event.target.value)} />}</Labelled>
      {known.data && known.data.length > 0 && <div className="row">{known.data.slice(0, 30).map((path) => <button key={path} type="button" className="tag big" aria-pressed={listed.includes(path)} onClick={() => toggle(path)}>{path.split("/").slice(1).join("/")}</button>)}</div>}
      <div className="row"><Button icon="upload" busy={busy} onClick={() => picker.current?.click()}>{t("authoring.upload")}</Button></div>
      <input ref={picker} type="file" multiple className="visually-hidden" tabIndex={-1} aria-label={t("authoring.upload")} onChange={(event) => void upload(event.target.files)} />
    </section>
  );
}
