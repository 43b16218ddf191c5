import { useEffect, useMemo, useRef, useState } from "react";
import { get, segment } from "../api/client";
import type { Log } from "../api/types";
import { useResource, useRested, type Resource } from "../api/use";
import { t } from "../i18n";
import { Button, Empty, Failure, Search, Waiting } from "../ui/parts";

/** The log as it grows; a search asks the server, which looks through all of it. */
export function RunLog({ id, log: live }: { id: string; log: Resource<Log> }) {
  const [query, setQuery] = useState("");
  const asked = useRested(query.trim(), 250);
  const found = useResource<Log>(asked ? `${id}?${asked}` : null, (signal) => get(`runs/${segment(id)}/log`, { query: asked, tail: 2000 }, signal));
  const log = asked ? found : live;
  const box = useRef<HTMLPreElement>(null);
  const [follow, setFollow] = useState(true);
  const lines = useMemo(() => log.data?.lines ?? [], [log.data]);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);
  return (
    <section className="card flush" aria-label={t("run.tab.log")}>
      <div className="row" style={{ padding: "var(--s4) var(--s5)" }}>
        <Search value={query} onChange={setQuery} label={t("log.search")} />
        <span className="muted small">{t("log.lines", { n: lines.length })}</span>
        <span className="grow" />
        {!follow && <Button small icon="down" onClick={() => setFollow(true)}>{t("log.follow")}</Button>}
      </div>
      {log.error && <div style={{ padding: "0 var(--s5) var(--s5)" }}><Failure error={log.error} retry={log.reload} /></div>}
      {!log.data && !log.error && <Waiting rows={8} />}
      {log.data && lines.length === 0 && <Empty icon="file" title={asked ? t("log.none") : t("log.empty")} />}
      {lines.length > 0 && (
        <pre
          ref={box} className="log" tabIndex={0} aria-label={t("run.tab.log")}
          onScroll={(event) => { const at = event.currentTarget; setFollow(at.scrollHeight - at.scrollTop - at.clientHeight < 40); }}
        >
          {lines.map((line, n) => <Line key={n} text={line} query={asked} />)}
        </pre>
      )}
    </section>
  );
}

function Line({ text, query }: { text: string; query: string }) {
  const tone = /\b(error|traceback|failed)\b/i.test(text) ? "bad" : /\bwarn(ing)?\b/i.test(text) ? "warn" : undefined;
  const at = query ? text.toLowerCase().indexOf(query.toLowerCase()) : -1;
  return (
    <span className={tone}>
      {at < 0 ? text : <>{text.slice(0, at)}<mark>{text.slice(at, at + query.length)}</mark>{text.slice(at + query.length)}</>}
      {"\n"}
    </span>
  );
}
