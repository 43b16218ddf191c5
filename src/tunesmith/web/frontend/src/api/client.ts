import type { Json } from "./types";

export class ApiError extends Error {
  constructor(readonly status: number, message: string, readonly hint = "", readonly field: string | null = null) {
    super(message);
  }
}

/** The page's language, in which the server tells what it has to say. */
export const spoken = () => globalThis.document?.documentElement.lang || "en";

type Query = Record<string, string | number | boolean | null | undefined | string[]>;

/** Run ids are paths: their slashes stay. */
export const segment = (id: string) => id.split("/").map(encodeURIComponent).join("/");

export function url(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((item) => parameters.append(key, item));
    else if (value !== null && value !== undefined && value !== "") parameters.set(key, String(value));
  }
  const text = parameters.toString();
  return `api/${path}${text ? `?${text}` : ""}`;
}

async function answer<T>(response: Response): Promise<T> {
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) return text as T;
  }
  if (response.ok) return body as T;
  const told = (body ?? {}) as { message?: string; hint?: string; field?: string | null; detail?: unknown };
  const detail = typeof told.detail === "string" ? told.detail : "";
  throw new ApiError(response.status, told.message || detail || `${response.status} ${response.statusText}`, told.hint ?? "", told.field ?? null);
}

/** path: below api/, or what url() made. */
export async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const raw = body instanceof Blob;
  const response = await fetch(path.startsWith("api/") ? path : url(path), {
    method,
    signal,
    headers: { "Accept-Language": spoken(), ...(body === undefined ? {} : { "Content-Type": raw ? "application/octet-stream" : "application/json" }) },
    body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
  });
  return answer<T>(response);
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal) => request<T>("GET", url(path, query), undefined, signal);
export const post = <T = Json>(path: string, body: unknown = {}, signal?: AbortSignal) => request<T>("POST", path, body, signal);
export const put = <T = Json>(path: string, body: unknown) => request<T>("PUT", path, body);
export const remove = <T = Json>(path: string) => request<T>("DELETE", path);

/** The events of an answer to a POST, which EventSource cannot send. */
export async function* stream<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T> {
  const response = await fetch(url(path), {
    method: "POST", signal, headers: { "Accept-Language": spoken(), "Content-Type": "application/json", Accept: "text/event-stream" }, body: JSON.stringify(body),
  });
  if (!response.ok || !response.body) {
    await answer(response);
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const [events, open] = splitEvents(rest + value);
    rest = open;
    for (const data of events) yield JSON.parse(data) as T;
  }
}

/** Whole server-sent events' data, and what is left of the text. */
export function splitEvents(text: string): [string[], string] {
  const blocks = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  const data = blocks.map((block) =>
    block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, "")).join("\n"),
  );
  return [data.filter(Boolean), rest];
}
