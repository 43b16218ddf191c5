import { expect, test } from "vitest";
import { segment, splitEvents, url } from "./client";
import { grown, merged } from "./events";
import { href, parseRoute } from "../router";
import type { Run } from "./types";

test("events are taken whole; what is half stays for later", () => {
  expect(splitEvents('data: {"a":1}\n\n: ping\n\ndata: x\ndata: y\n\ndata: {"b"')).toEqual([['{"a":1}', "x\ny"], 'data: {"b"']);
});

test("a run's id keeps its slashes, and nothing else gets through", () => {
  expect(segment("saves/a b/c?")).toBe("saves/a%20b/c%3F");
  expect(url("runs", { query: "", tag: "x y", runs: ["a", "b"] })).toBe("api/runs?tag=x+y&runs=a&runs=b");
});

test("an address leads back to where it came from", () => {
  expect(parseRoute(href("runs", "saves/中文 名/a", { tab: "log" }))).toMatchObject({ page: "runs", id: "saves/中文 名/a" });
  expect(parseRoute("").page).toBe("runs");
});

test("news of some runs change those alone", () => {
  const run = (id: string, step: number) => ({ id, step }) as Run;
  expect(merged([run("a", 1), run("b", 1)], { complete: false, runs: [run("b", 2)] })).toEqual([run("a", 1), run("b", 2)]);
  expect(merged([run("a", 1)], { complete: true, runs: [] })).toEqual([]);
});

test("a log that was fetched anew takes only the lines that it does not hold", () => {
  const log = { lines: ["a", "é"], attempt: 2, offset: 5, complete: true }; // "a\né\n"
  const news = { lines: ["a", "é", "b"], cursor: "-.0.2.7" };
  expect(grown(log, news)).toMatchObject({ lines: ["a", "é", "b"], offset: 7 });
  expect(grown(grown(log, news), news).lines).toEqual(["a", "é", "b"]);
  expect(grown(log, { lines: ["x"], cursor: "-.0.1.90" })).toBe(log);
});
