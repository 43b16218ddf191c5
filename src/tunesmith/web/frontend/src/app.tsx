import { lazy, Suspense, useEffect, useRef, type ComponentType } from "react";
import { useLink, useRuns } from "./api/events";
import { isActive } from "./api/types";
import { useKept, useRested } from "./api/use";
import { LANGUAGES, named, setLanguage, t, useLanguage, type Language } from "./i18n";
import { ComparePage } from "./pages/compare";
import { RunPage } from "./pages/run";
import { RunsPage } from "./pages/runs";
import { href, useRoute } from "./router";
import { Icon, Mark, type IconName } from "./ui/icons";
import { Button, Empty, Page, Waiting } from "./ui/parts";
import { Toasts } from "./ui/toast";

const NAV = ["runs", "train", "data", "evaluate", "chat", "export", "settings"] as const satisfies IconName[];

const page = (load: () => Promise<ComponentType>) => lazy(async () => ({ default: await load() }));
const PAGES: Record<string, ComponentType> = {
  train: page(async () => (await import("./pages/train")).TrainPage),
  data: page(async () => (await import("./pages/data")).DataPage),
  dataset: page(async () => (await import("./pages/dataset")).DatasetPage),
  authoring: page(async () => (await import("./pages/authoring")).AuthoringPage),
  evaluate: page(async () => (await import("./pages/evaluate")).EvaluatePage),
  chat: page(async () => (await import("./pages/chat")).ChatPage),
  export: page(async () => (await import("./pages/export")).ExportPage),
  settings: page(async () => (await import("./pages/settings")).SettingsPage),
  compare: ComparePage,
};
const HOME: Record<string, string> = { compare: "runs", dataset: "data", authoring: "data" };

export function App() {
  const language = useLanguage();
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const section = HOME[route.page] ?? route.page;
  useEffect(() => {
    document.title = `${named("nav", section)} · Tunesmith`;
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [route.page, route.id, section, language]);
  const Shown = route.page === "runs" ? (route.id ? RunPage : RunsPage) : (PAGES[route.page] ?? Missing);
  return (
    <div className="shell">
      <header className="rail">
        <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{t("skip")}</a>
        <a className="brand" href={href("runs")}><Mark />Tunesmith</a>
        <nav aria-label={t("nav")}>
          <ul>
            {NAV.map((name) => (
              <li key={name}>
                <a href={href(name)} aria-current={section === name ? "page" : undefined}>
                  <Icon name={name} />
                  {t(`nav.${name}`)}
                  {name === "runs" && <Active />}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div className="rail-foot"><LinkState /><Tools language={language} /></div>
      </header>
      <Lost />
      <main id="main" ref={main} tabIndex={-1} style={{ outline: "none" }}>
        <Suspense fallback={<Waiting rows={6} />} key={`${route.page}/${route.id}`}><Shown /></Suspense>
      </main>
      <Toasts />
    </div>
  );
}

function Active() {
  const count = (useRuns() ?? []).filter((run) => isActive(run.status)).length;
  return count > 0 ? <span className="count"><span className="visually-hidden">{t("runs.active")}: </span>{count}</span> : null;
}

function LinkState() {
  const link = useLink();
  return <p className="link-state" data-link={link} title={t(`link.${link}`)}><i /><span>{t(`link.${link}`)}</span></p>;
}

const PATIENCE = 1_500;

/** Says that the server is gone, over the page and not in it, once it has been away for a moment. */
function Lost() {
  const link = useRested(useLink(), PATIENCE);
  const now = useLink();
  return <div className="lost" role="status">{link === "lost" && now === "lost" && <p><i /><strong>{t("error.unreachable")}</strong> {t("lost.text")}</p>}</div>;
}

function Tools({ language }: { language: Language }) {
  const [, keep] = useKept<Language>("language", language);
  const [theme, keepTheme] = useKept<string>("theme", "auto");
  const choose = (next: Language) => { keep(next); void setLanguage(next); };
  const turn = () => {
    const next = theme === "auto" ? "light" : theme === "light" ? "dark" : "auto";
    keepTheme(next);
    document.documentElement.dataset["theme"] = next;
    dispatchEvent(new Event("themechange"));
  };
  return (
    <div className="rail-tools">
      <select aria-label={t("language")} value={language} onChange={(event) => choose(event.target.value as Language)}>
        {Object.entries(LANGUAGES).map(([tag, name]) => <option key={tag} value={tag} lang={tag}>{name}</option>)}
      </select>
      <Button icon={theme === "dark" ? "moon" : theme === "light" ? "sun" : "auto"} title={`${t("theme")}: ${named("theme", theme)}`} onClick={turn} />
    </div>
  );
}

const Missing = () => (
  <Page title={t("missing.title")}>
    <div className="card"><Empty icon="search" title={t("missing.title")} actions={<a className="button" href={href("runs")}>{t("nav.runs")}</a>}>{t("missing.text")}</Empty></div>
  </Page>
);
