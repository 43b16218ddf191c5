import { useEffect, useState } from "react";
import type { Problem } from "../api/types";
import { named, t } from "../i18n";
import { Empty, Search } from "../ui/parts";
import { FieldLabels } from "../ui/said";
import { Field, labelOf, labelsOf } from "./field";
import { advanced, type Group } from "./layout";
import { matching, type FieldSpec, type Texts } from "./schema";

interface Props {
  fields: FieldSpec[]; groups: Group[]; texts: Texts; problems: Problem[];
  suggestions?: Record<string, string[]>; onChange: (name: string, text: string) => void; special?: Record<string, React.ReactNode>;
  /** A field that is to be shown and to have the focus; a new object each time that somebody asks for it. */
  sought?: { name: string } | null;
}

const placeOf = (name: string) => document.querySelector<HTMLElement>(`[data-field="${name}"]`);

export function SettingsForm(props: Props) {
  const { fields, groups, texts, problems, suggestions = {}, onChange, special = {}, sought } = props;
  const [query, setQuery] = useState("");
  useEffect(() => {
    if (!sought) return;
    if (!placeOf(sought.name)) setQuery(sought.name); // it is folded away
    const soon = setTimeout(() => {
      placeOf(sought.name)?.scrollIntoView({ block: "center" });
      placeOf(sought.name)?.querySelector<HTMLElement>("input, select")?.focus();
    }, 60);
    return () => clearTimeout(soon);
  }, [sought]);
  const known = new Map(fields.map((field) => [field.name, field]));
  const show = (field: FieldSpec) => special[field.name] ?? (
    <Field
      key={field.name} field={field} text={texts[field.name]} suggestions={suggestions[field.name]}
      problems={problems.filter((problem) => problem.field === field.name)} onChange={(text) => onChange(field.name, text)}
    />
  );
  const changed = (list: FieldSpec[]) => list.filter((field) => texts[field.name] !== undefined).length;
  const found = query.trim() ? matching(fields, query, labelOf) : null;
  const rest = advanced(fields, groups);
  return (
    <FieldLabels value={labelsOf(fields)}><div className="stack">
      <Search value={query} onChange={setQuery} label={t("form.search", { n: fields.length })} />
      {found && (
        <section className="card" aria-label={t("form.found")}>
          {found.length ? <div className="fields">{found.slice(0, 40).map(show)}</div> : <Empty icon="search" title={t("form.nothing")}>{t("form.nothing.text")}</Empty>}
        </section>
      )}
      {!found && groups.map((group) => {
        const inGroup = group.keys.flatMap((key) => known.get(key) ?? []);
        if (!inGroup.length || (group.shown && !group.shown(texts))) return null;
        const body = <div className="fields">{inGroup.map(show)}</div>;
        if (group.open) return <section key={group.name} className="card"><header><h2>{t(`group.${group.name}`)}</h2></header>{body}</section>;
        return <Fold key={group.name} title={t(`group.${group.name}`)} count={changed(inGroup)}>{body}</Fold>;
      })}
      {!found && rest.length > 0 && (
        <Fold title={t("form.advanced")} count={changed(rest.flatMap(([, list]) => list))}>
          <div className="stack" style={{ gap: "var(--s6)" }}>
            {rest.map(([section, list]) => (
              <section key={section} className="stack">
                <h3 className="muted">{named("section", section)}</h3>
                <div className="fields">{list.map(show)}</div>
              </section>
            ))}
          </div>
        </Fold>
      )}
    </div></FieldLabels>
  );
}

function Fold({ title, count, children }: { title: string; count: number; children: React.ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <details className="card" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary><h2>{title}</h2>{count > 0 && <span className="badge plain">{t("form.changed", { n: count })}</span>}</summary>
      {open && <div style={{ marginTop: "var(--s4)" }}>{children}</div>}
    </details>
  );
}
