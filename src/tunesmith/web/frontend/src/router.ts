import { useSyncExternalStore } from "react";

export interface Route { page: string; id: string; query: URLSearchParams }

/** `#/page/some/id?key=value`. Routes live in the hash, so they work behind any proxy and survive a refresh. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = path.split("/");
  return { page: page || "runs", id: rest.map(decodeURIComponent).join("/"), query: new URLSearchParams(query) };
}

export function href(page: string, id = "", query: Record<string, string | string[]> = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) for (const one of [value].flat()) parameters.append(key, one);
  const text = parameters.toString();
  return `#/${page}${id ? `/${id.split("/").map(encodeURIComponent).join("/")}` : ""}${text ? `?${text}` : ""}`;
}

export const go = (to: string) => void (location.hash = to.slice(1));

let last = { hash: "", route: parseRoute("") };
function current(): Route {
  if (location.hash !== last.hash) last = { hash: location.hash, route: parseRoute(location.hash) };
  return last.route;
}

export function useRoute(): Route {
  return useSyncExternalStore((tell) => (addEventListener("hashchange", tell), () => removeEventListener("hashchange", tell)), current);
}
