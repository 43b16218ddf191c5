import { useId } from "react";
import { post } from "../api/client";
import type { Settings } from "../api/types";
import { useResource, useRested, type Resource } from "../api/use";
import { useModels } from "./models";

export interface Source { place: string; error: Resource<unknown>["error"]; known: Settings | undefined; settled: boolean }

/** What a model that a person names means as settings, asked at `path` when the typing rests. settled: what is known is of what stands in the box now. */
export function useSource(path: string, text: string): Source {
  const place = useRested(text.trim(), 400);
  const source = useResource<{ settings: Settings }>(place || null, (signal) => post(path, { place }, signal));
  const known = place && !source.error ? source.data?.settings : undefined;
  return { place, error: place ? source.error : null, known, settled: place === text.trim() && !source.loading };
}

/** A run, a checkpoint, an adapter or a model, by name or out of those that the workspace has. */
export function SourceField({ label, help, value, onChange }: { label: string; help: string; value: string; onChange: (text: string) => void }) {
  const id = useId();
  const models = useModels();
  return (
    <div className="field wide">
      <div className="name"><label htmlFor={id}>{label}</label></div>
      <input id={id} list={`${id}-list`} value={value} spellCheck={false} aria-describedby={`${id}-help`} onChange={(event) => onChange(event.target.value)} />
      <datalist id={`${id}-list`}>{models.map((one) => <option key={one.path} value={one.path}>{one.name}</option>)}</datalist>
      <p className="help" id={`${id}-help`}>{help}</p>
    </div>
  );
}
