import { createRoot } from "react-dom/client";
import { App } from "./app";
import { guess, LANGUAGES, setLanguage, type Language } from "./i18n";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/views.css";

function wanted(): Language {
  const kept = (localStorage.getItem("tunesmith.language") ?? "").replaceAll('"', "");
  return kept in LANGUAGES ? (kept as Language) : guess(navigator.languages);
}

document.documentElement.dataset["theme"] = (localStorage.getItem("tunesmith.theme") ?? "auto").replaceAll('"', "");
await setLanguage(wanted());
createRoot(document.getElementById("root")!).render(<App />);
