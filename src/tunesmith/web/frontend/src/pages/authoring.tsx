import { useMemo, useRef, useState } from "react";
import { ApiError, get, post, request, url } from "../api/client";
import type { Schema } from "../api/types";
import { told, useKept, useResource } from "../api/use";
import { SettingsForm } from "../form/form";
import type { Group } from "../form/layout";
import { fieldsOf, settingsOf, type Texts } from "../form/schema";
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

export function AuthoringPage() {
  const route = useRoute();
  const kind = (KINDS.find((one) => one === route.id) ?? "make") satisfies Kind;
  const schema = useResource<Schema>(kind, (signal) => get(`authoring/${kind}/schema`, {}, signal));
  const fields = useMemo(() => (schema.data ? fieldsOf(schema.data).filter((field) => !["dry_run", "run_dir"].includes(field.name)) : []), [schema.data]);
  const [texts, setTexts] = useKept<Texts>(`authoring.${kind}`, {});
  const [sources, setSources] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const picker = useRef<HTMLInputElement>(null);
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
      go(href("runs", (await post<{ id: string }>(`authoring/${kind}`, { sources: listed, options: settingsOf(texts, fields) })).id));
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
          {schema.error && <Failure error={schema.error} retry={schema.reload} />}
          {!schema.data && !schema.error && <div className="card"><Waiting rows={8} /></div>}
          {schema.data && <SettingsForm fields={fields} groups={groups} texts={texts} problems={error?.field ? [{ field: error.field, message: error.message, hint: error.hint, level: "error" }] : []} onChange={(name, text) => setTexts({ ...texts, [name]: text })} />}
        </div>
        <aside className="side stack" aria-label={t("train.side")}>
          <section className="card stack">
            <Button kind="primary" icon="play" busy={busy} disabled={!listed.length || !texts["out"]?.trim()} onClick={() => void start()}>{t("authoring.start")}</Button>
            {error && <Failure error={error} />}
            <p className="small muted">{t(`authoring.${kind}.note`)}</p>
          </section>
        </aside>
      </div>
    </Page>
  );
}
