import { useMemo, useRef, useState } from "react";
import { ApiError, get, post, request, url } from "../api/client";
import type { Option } from "../api/types";
import { told, useKept, useResource } from "../api/use";
import { SettingsForm } from "../form/form";
import type { Group } from "../form/layout";
import { fieldOfOption, settingsOf, type Texts } from "../form/schema";
import { t } from "../i18n";
import { go, href, useRoute } from "../router";
import { Button, Failure, Labelled, Page, Waiting } from "../ui/parts";
import { attempt } from "../ui/toast";

type Kind = "make" | "roles" | "convert";
const KINDS: Kind[] = ["make", "roles", "convert"];
/** What is asked first; everything else stands below, by the schema. */
const FIRST: Record<Kind, string[]> = {
  make: ["out", "model", "base_url", "entries", "language", "format", "styles", "val_size"],
  roles: ["out", "role", "layout", "format", "turns", "persona"],
  convert: ["out", "instruction", "input", "output", "system", "mode"],
};

/** `data convert` is told which column is what; the rest it sees. */
export const CONVERT: Option[] = [
  ["out", "text"], ["instruction", "text"], ["input", "text"], ["output", "text"], ["system", "text"], ["sheet", "text"], ["header", "number"],
  ["as_text", "switch"], ["to", "text"], ["type", "text"], ["mode", "text"], ["replace", "switch"],
].map(([name, kind]) => ({ name: name!, kind: kind!, help: "", choices: [], default: kind === "switch" ? false : kind === "number" ? null : "" }));

export function AuthoringPage() {
  const route = useRoute();
  const kind = (KINDS.find((one) => one === route.id) ?? "make") satisfies Kind;
  const asks = kind !== "convert";
  const options = useResource<Option[]>(asks ? kind : null, (signal) => get("authoring/options", { verb: kind }, signal));
  const fields = useMemo(() => (asks ? (options.data ?? []) : CONVERT).map(fieldOfOption), [asks, options.data]);
  const [key, setKey] = useState("");
  const [texts, setTexts] = useKept<Texts>(`authoring.${kind}`, {});
  const [sources, setSources] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const picker = useRef<HTMLInputElement>(null);
  const ready = !asks || options.data;
  const listed = sources.split("\n").map((line) => line.trim()).filter(Boolean);
  const groups: Group[] = [{ name: "making", open: true, keys: FIRST[kind] }];
  const upload = async (files: FileList | null) => {
    setBusy(true);
    const paths: string[] = [];
    for (const file of files ?? []) await attempt(async () => paths.push((await request<{ path: string }>("POST", url("documents/upload", { name: file.name }), file)).path));
    setSources([...listed, ...paths].join("\n"));
    setBusy(false);
  };
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      go(href("runs", (await post<{ id: string }>(`authoring/${kind}`, { sources: listed, options: settingsOf(texts, fields), ...(key.trim() ? { api_key: key.trim() } : {}) })).id));
    } catch (reason) {
      setError(told(reason));
    }
    setBusy(false);
  };
  return (
    <Page title={t(`authoring.${kind}`)} lead={t(`authoring.${kind}.text`)} crumb={{ href: href("data"), text: t("nav.data") }}>
      <div className="columns">
        <div className="stack">
          <section className="card stack">
            <Labelled label={t("authoring.sources")} help={t("authoring.sources.help")}>{(id) => <textarea id={id} className="mono" rows={3} value={sources} spellCheck={false} onChange={(event) => setSources(event.target.value)} />}</Labelled>
            <div className="row"><Button icon="upload" busy={busy} onClick={() => picker.current?.click()}>{t("authoring.upload")}</Button></div>
            <input ref={picker} type="file" multiple className="visually-hidden" tabIndex={-1} aria-label={t("authoring.upload")} onChange={(event) => void upload(event.target.files)} />
          </section>
          {options.error && <Failure error={options.error} retry={options.reload} />}
          {!ready && !options.error && <div className="card"><Waiting rows={8} /></div>}
          {ready && <SettingsForm fields={fields} groups={groups} texts={texts} problems={error?.field ? [{ field: error.field, message: error.message, hint: error.hint, level: "error" }] : []} onChange={(name, text) => setTexts({ ...texts, [name]: text })} />}
        </div>
        <aside className="side stack" aria-label={t("train.side")}>
          <section className="card stack">
            <Button kind="primary" icon="play" busy={busy} disabled={!listed.length || !texts["out"]?.trim()} onClick={() => void start()}>{t("authoring.start")}</Button>
            {error && <Failure error={error} />}
            <p className="small muted">{t(`authoring.${kind}.note`)}</p>
            {asks && <Labelled label={t("authoring.key")} help={t("authoring.key.help")}>{(id) => <input id={id} type="password" autoComplete="off" value={key} onChange={(event) => setKey(event.target.value)} />}</Labelled>}
          </section>
        </aside>
      </div>
    </Page>
  );
}
