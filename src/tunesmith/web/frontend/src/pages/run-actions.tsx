import { useState } from "react";
import { get, post, put, remove, segment } from "../api/client";
import { useResource } from "../api/use";
import { isActive, type Deletion, type Run } from "../api/types";
import { labelOf } from "../form/field";
import { bytes, t } from "../i18n";
import { Confirm, Dialog, type Question } from "../ui/dialog";
import { Button, Failure, Labelled, Waiting } from "../ui/parts";
import { Steady } from "../ui/steady";
import { attempt, say } from "../ui/toast";
import { go, href } from "../router";

/** The settings that hold what a run gets as a variable. */
const HUBS: Record<string, string> = { HF_TOKEN: "hf_hub_token", MODELSCOPE_API_TOKEN: "ms_hub_token" };
const ASKING = /^data (make|roles)$/;

/** What goes on where it stopped; other commands begin anew. */
const GOES_ON = /^(train|eval|data (make|roles))$/;

/** What the buttons of a run depend on. */
export const buttonsOf = (run: Run): string => [run.status, run.usable, run.resumable, run.missing.length > 0].join();

/** What can be done with a run, as buttons; what can't be taken back asks first. */
export function RunActions({ run, small, here }: { run: Run; small?: boolean; here?: boolean }) {
  const [question, setQuestion] = useState<Question | null>(null);
  const [tagging, setTagging] = useState(false);
  const [resuming, setResuming] = useState(false);
  const [giving, setGiving] = useState(false);
  const path = `runs/${segment(run.id)}`;
  const name = { name: run.name };
  const active = isActive(run.status);
  const deletion: Question = {
    title: t("run.delete.title", name), text: <Goes run={run} />, action: t("run.delete"), danger: true,
    run: async () => { await remove(path); say(t("run.deleted", name)); if (here) go(href("runs")); },
  };
  return (
    <>
      <Steady of={buttonsOf(run)}>
      {(run.status === "running" || run.status === "starting") && (
        <Button small={small} icon="stop" onClick={() => void attempt(() => post(`${path}/stop`), t("run.stopping", name))}>{t("run.stop")}</Button>
      )}
      {run.missing.length > 0 && <Button small={small} icon="play" onClick={() => setGiving(true)}>{t("run.tokens")}</Button>}
      {run.status === "queued" && (
        <Button small={small} icon="close" onClick={() => void attempt(() => post(`${path}/stop`), t("run.unqueued", name), run.started === null ? deletion : undefined)}>{t("run.unqueue")}</Button>
      )}
      {run.resumable && (
        <Button small={small} icon="play" onClick={() => (ASKING.test(run.kind) ? setResuming(true) : void attempt(() => post(`${path}/resume`), t("run.resumed", name)))}>{t(GOES_ON.test(run.kind) ? "run.resume" : "remedy.begin")}</Button>
      )}
      <Button small={small} icon="tag" kind="quiet" title={t("run.tags")} onClick={() => setTagging(true)} />
      {active && run.status !== "queued" && (
        <Button small={small} icon="kill" kind="quiet" danger title={t("run.kill")} onClick={() => setQuestion({
          title: t("run.kill.title", name), text: t(run.kind === "train" ? "run.kill.text" : ASKING.test(run.kind) ? "run.kill.text.asking" : "run.kill.text.other"), action: t("run.kill"), danger: true, run: () => post(`${path}/kill`),
        })} />
      )}
      {small && run.status === "queued" && <span className="button icon small placeholder" aria-hidden="true" />}
      {!active && (
        <Button small={small} icon="trash" kind="quiet" title={t("run.delete")} onClick={() => setQuestion(deletion)} />
      )}
      </Steady>
      {question && <Confirm question={question} onClose={() => setQuestion(null)} />}
      {resuming && <Resuming run={run} onClose={() => setResuming(false)} />}
      {giving && <Giving run={run} onClose={() => setGiving(false)} />}
      {tagging && <Tagging run={run} onClose={() => setTagging(false)} />}
    </>
  );
}

/** What goes with a run, and what it made elsewhere stays. */
function Goes({ run }: { run: Run }) {
  const told = useResource<Deletion>(run.id, (signal) => get(`runs/${segment(run.id)}/deletion`, {}, signal));
  if (told.error) return <Failure error={told.error} retry={told.reload} />;
  if (!told.data) return <Waiting rows={3} />;
  const { folder, bytes: size, checkpoints, weights, answers, predictions, exported, dataset, others, loaded, exports } = told.data;
  const goes = [
    t("delete.folder", { folder, size: bytes(size) }),
    weights && t("delete.weights"), checkpoints > 0 && t("delete.checkpoints", { n: checkpoints }),
    predictions && t("delete.predictions"), t("delete.records"),
  ];
  const stays = [exported && t("delete.exported", { folder: exported }), dataset && t("delete.dataset", { name: dataset }), answers && t("delete.answers"), others.length > 0 && t("delete.others", { names: others.join(", ") })];
  return (
    <>
      <Points title={t("delete.goes")} points={goes} />
      {stays.some(Boolean) && <Points title={t("delete.stays")} points={stays} />}
      {loaded && <p>{t("delete.loaded")}</p>}
      {exports.length > 0 && <p>{t("delete.exports", { names: exports.join(", ") })}</p>}
      <p className="muted">{t("delete.final")}</p>
    </>
  );
}

const Points = ({ title, points }: { title: string; points: (string | false)[] }) => (
  <div><h3>{title}</h3><ul className="points">{points.map((point) => point && <li key={point}>{point}</li>)}</ul></div>
);

/** A key is kept nowhere, so a job that asks a server needs it again. */
function Resuming({ run, onClose }: { run: Run; onClose: () => void }) {
  const [key, setKey] = useState("");
  const resume = async () => {
    if (await attempt(() => post(`runs/${segment(run.id)}/resume`, key.trim() ? { api_key: key.trim() } : {}), t("run.resumed", { name: run.name }))) onClose();
  };
  return (
    <Dialog narrow title={t("run.key.title", { name: run.name })} onClose={onClose} footer={<>
      <Button onClick={onClose}>{t("cancel")}</Button>
      <Button kind="primary" onClick={() => void resume()}>{t("run.resume")}</Button>
    </>}>
      <Labelled label={t("authoring.key")} help={t("run.key.help")}>{(id) => <input id={id} type="password" autoComplete="off" value={key} onChange={(event) => setKey(event.target.value)} />}</Labelled>
    </Dialog>
  );
}

/** Tokens are kept nowhere, so one that waited with its run while the studio was restarted is asked for again. */
function Giving({ run, onClose }: { run: Run; onClose: () => void }) {
  const [tokens, setTokens] = useState<Record<string, string>>({});
  const give = async (given: Record<string, string>) => {
    if (await attempt(() => post(`runs/${segment(run.id)}/tokens`, { tokens: given }), t("run.tokens.given", { name: run.name }))) onClose();
  };
  return (
    <Dialog narrow title={t("run.tokens.title", { name: run.name })} onClose={onClose} footer={<>
      <Button onClick={() => void give({})}>{t("run.tokens.without")}</Button>
      <Button kind="primary" disabled={!run.missing.every((name) => tokens[name]?.trim())} onClick={() => void give(tokens)}>{t("run.tokens.give")}</Button>
    </>}>
      <div className="stack">
        <p>{t("run.tokens.text")}</p>
        {run.missing.map((name) => (
          <Labelled key={name} label={name in HUBS ? labelOf(HUBS[name]!) : t("authoring.key")}>{(id) => <input id={id} type="password" autoComplete="off" value={tokens[name] ?? ""} onChange={(event) => setTokens({ ...tokens, [name]: event.target.value.trim() })} />}</Labelled>
        ))}
      </div>
    </Dialog>
  );
}

function Tagging({ run, onClose }: { run: Run; onClose: () => void }) {
  const [seen] = useState(run.tags);
  const [text, setText] = useState(seen.join(", "));
  const save = async () => {
    const tags = text.split(/[,，、]/).map((tag) => tag.trim()).filter(Boolean);
    if (await attempt(() => put(`runs/${segment(run.id)}/tags`, { tags, seen }))) onClose();
  };
  return (
    <Dialog narrow title={t("run.tags.title", { name: run.name })} onClose={onClose} footer={<>
      <Button onClick={onClose}>{t("cancel")}</Button>
      <Button kind="primary" onClick={() => void save()}>{t("save")}</Button>
    </>}>
      <Labelled label={t("run.tags")} help={t("run.tags.help")}>{(id) => <input id={id} value={text} onChange={(event) => setText(event.target.value)} />}</Labelled>
    </Dialog>
  );
}
