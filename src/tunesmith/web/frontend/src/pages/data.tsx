import { useRef, useState, type DragEvent } from "react";
import { get, post, remove, request, url } from "../api/client";
import type { Dataset } from "../api/types";
import { useResource } from "../api/use";
import { bytes, t } from "../i18n";
import { go, href } from "../router";
import { Confirm, Dialog, type Question } from "../ui/dialog";
import { Icon, type IconName } from "../ui/icons";
import { Button, Empty, Failure, Labelled, Page, Pick, Search, Waiting } from "../ui/parts";
import { attempt, say } from "../ui/toast";

const MAKERS = [["make", "book"], ["roles", "user"], ["convert", "table"]] as const satisfies [string, IconName][];

export function DataPage() {
  const sets = useResource<Dataset[]>("datasets", (signal) => get("datasets", {}, signal));
  const [query, setQuery] = useState("");
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(false);
  const [adding, setAdding] = useState(false);
  const [question, setQuestion] = useState<Question | null>(null);
  const picker = useRef<HTMLInputElement>(null);
  const shown = (sets.data ?? []).filter((set) => `${set.name} ${set.location} ${set.formatting ?? ""}`.toLowerCase().includes(query.toLowerCase()));

  const upload = async (files: FileList | null) => {
    const list = [...(files ?? [])];
    let name = "";
    setBusy(true);
    for (const file of list) {
      await attempt(async () => {
        ({ name } = await request<{ name: string }>("POST", url("datasets/upload", { name: file.name }), file));
        say(t("data.uploaded", { name }));
      });
    }
    setBusy(false);
    sets.reload();
    if (list.length === 1 && name) go(href("dataset", name));
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void upload(event.dataTransfer.files);
  };
  return (
    <Page title={t("data.title")} lead={t("data.lead")} actions={<>
      <Button onClick={() => setAdding(true)}>{t("data.add")}</Button>
      <Button kind="primary" icon="upload" busy={busy} onClick={() => picker.current?.click()}>{t("data.upload")}</Button>
    </>}>
      <input ref={picker} type="file" multiple className="visually-hidden" tabIndex={-1} aria-label={t("data.upload")} onChange={(event) => void upload(event.target.files)} />
      <section className={over ? "card flush drop over" : "card flush drop"} aria-label={t("data.title")}
        onDragOver={(event) => { event.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)} onDrop={drop}>
        {sets.error && <div style={{ padding: "var(--s5)" }}><Failure error={sets.error} retry={sets.reload} /></div>}
        {!sets.data && !sets.error && <Waiting rows={5} />}
        {sets.data?.length === 0 && <Empty icon="data" title={t("data.empty")} actions={<Button kind="primary" icon="upload" onClick={() => picker.current?.click()}>{t("data.upload")}</Button>}>{t("data.empty.text")}</Empty>}
        {sets.data && sets.data.length > 0 && (
          <>
            {sets.data.length > 6 && <div style={{ padding: "var(--s4) var(--s5)" }}><Search value={query} onChange={setQuery} label={t("data.search")} /></div>}
            <ul className="list">
              {shown.map((set) => (
                <li key={set.name} className="set">
                  <div className="grow">
                    <a className="strong" href={href("dataset", set.name)}>{set.name}</a>
                    <p className="muted small clip">{set.place === "file" ? set.location : `${set.place}: ${set.location}`}</p>
                  </div>
                  <span className="row">
                    {set.formatting && <span className="tag">{set.formatting}</span>}
                    {set.ranking && <span className="tag">{t("data.preference")}</span>}
                    {(set.missing || set.problem) && <span className="badge" data-tone="bad" title={set.problem}>{set.missing ? t("data.missing") : t("data.broken")}</span>}
                    {set.bytes !== null && <span className="muted small nowrap">{bytes(set.bytes)}</span>}
                    <a className="button small" href={href("train", "", { dataset: set.name })}>{t("data.train")}</a>
                    <Button small kind="quiet" icon="trash" title={t("data.forget")} onClick={() => setQuestion({
                      title: t("data.forget.title", { name: set.name }), text: t("data.forget.text"), action: t("data.forget"), danger: true,
                      run: async () => { await remove(`datasets/${encodeURIComponent(set.name)}`); sets.reload(); },
                    })} />
                  </span>
                </li>
              ))}
            </ul>
            <p className="muted small" style={{ padding: "var(--s3) var(--s5)", borderTop: "1px solid var(--line)" }}>{t("data.drop")}</p>
          </>
        )}
      </section>
      <section className="stack">
        <h2>{t("data.make")}</h2>
        <ul className="makers">
          {MAKERS.map(([kind, icon]) => (
            <li key={kind}><a className="card maker" href={href("authoring", kind)}><Icon name={icon} /><strong>{t(`authoring.${kind}`)}</strong><span className="muted small">{t(`authoring.${kind}.text`)}</span></a></li>
          ))}
        </ul>
      </section>
      {adding && <AddDialog onClose={() => setAdding(false)} />}
      {question && <Confirm question={question} onClose={() => setQuestion(null)} />}
    </Page>
  );
}

function AddDialog({ onClose }: { onClose: () => void }) {
  const [from, setFrom] = useState<"path" | "hub" | "modelscope">("path");
  const [place, setPlace] = useState("");
  const [name, setName] = useState("");
  const add = () => attempt(async () => {
    const where = from === "path" ? { path: place.trim() } : { hub: place.trim(), modelscope: from === "modelscope" };
    const added = await post<{ name: string }>("datasets/add", { ...where, name: name.trim() || null });
    go(href("dataset", added.name));
  });
  return (
    <Dialog narrow title={t("data.add")} onClose={onClose} footer={<><Button onClick={onClose}>{t("cancel")}</Button><Button kind="primary" disabled={!place.trim()} onClick={() => void add()}>{t("data.add.action")}</Button></>}>
      <div className="stack">
        <Pick label={t("data.add.from")} value={from} onChange={setFrom} options={[["path", t("data.add.path")], ["hub", "Hugging Face"], ["modelscope", "ModelScope"]]} />
        <Labelled label={from === "path" ? t("data.add.file") : t("data.add.repo")} help={from === "path" ? t("data.add.file.help") : t("data.add.repo.help")}>{(id) => <input id={id} value={place} onChange={(event) => setPlace(event.target.value)} spellCheck={false} />}</Labelled>
        <Labelled label={t("data.add.name")}>{(id) => <input id={id} value={name} placeholder={t("form.auto")} onChange={(event) => setName(event.target.value)} />}</Labelled>
      </div>
    </Dialog>
  );
}
