"""Prompts as readable files, one folder a language; a user's copies go before ours, file by file."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.authoring.model import Messages
from tunesmith.data.encoding import decode_file
from tunesmith.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import jinja2

Language = Literal["en", "zh", "zh-TW"]
LANGUAGES: tuple[Language, ...] = ("en", "zh", "zh-TW")
BUILT_IN = Path(__file__).with_name("prompts")
_BETWEEN = re.compile(r"^---[ \t]*\n", re.MULTILINE)


def language_for(asked: str) -> Language:
    """The language of the prompts for questions in that writing or language."""
    return "zh" if asked == "zh" else "zh-TW" if asked == "zh-TW" else "en"


def language_of(tag: str) -> Language:
    """The language of prompts that is nearest to one that a person reads, by its tag."""
    return "zh-TW" if tag in ("zh-TW", "zh-HK") else "zh" if tag.startswith("zh") else "en"


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt: what the system message and the user message are made of. version: of its words."""

    name: str
    system: str
    user: str
    version: str

    def render(self, **values: Any) -> Messages:
        """The messages, with the values in their places. UserError for a placeholder that means nothing."""
        system, user = (self._filled(part, values).strip() for part in (self.system, self.user))
        return [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": user}]

    def text(self, **values: Any) -> str:
        """A template of a single part, filled."""
        return self._filled(self.system or self.user, values).strip()

    def _filled(self, source: str, values: Mapping[str, Any]) -> str:
        import jinja2

        try:
            return str(_compiled(source).render(values))
        except jinja2.TemplateError as error:
            raise UserError(
                f"The prompt {self.name} can't be filled: {error}.",
                hint=f"It may use {', '.join(f'{{{{ {name} }}}}' for name in values)}.",
                field="prompts",
            ) from None


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a job, as they were when each was first needed: an edit meanwhile does not change the job.

    folder: a user's own, of which single files or languages may be missing.
    """

    folder: Path | None = None
    _read: dict[tuple[str, Language], Template] = field(default_factory=dict, repr=False, compare=False)
    _chosen: dict[tuple[Language, tuple[str, ...]], dict[str, str]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise UserError(
                f"There is no folder {self.folder} with prompts.",
                hint=f"Copy ours there and change them: tunesmith data prompts {self.folder}",
                field="prompts",
            )

    def get(self, name: str, language: Language) -> Template:
        """The prompt of a name (`questions`, `judge` …) in a language."""
        key = (name, language)
        if key not in self._read:
            text = _text(self._place(f"{name}.md", language))
            parts = _BETWEEN.split(text, maxsplit=1)
            system, user = parts if len(parts) == 2 else ("", text)
            version = hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]
            self._read[key] = Template(f"{language}/{name}", system, user, f"{language}/{name}@{version}")
        return self._read[key]

    def styles(self, language: Language, asked: tuple[str, ...] = ()) -> dict[str, str]:
        """Kinds of questions by name. asked: names out of the list, or the paths of files that hold lists of their own.

        UserError for a name that is not known, and for a file without any.
        """
        key = (language, asked)
        if key not in self._chosen:
            self._chosen[key] = self._choose(language, asked)
        return self._chosen[key]

    def _choose(self, language: Language, asked: tuple[str, ...]) -> dict[str, str]:
        known = _styles(self._place("styles.txt", language))
        if not asked:
            return known
        chosen: dict[str, str] = {}
        others = [list(_styles(self._place("styles.txt", other))) for other in LANGUAGES]
        for word in asked:
            place = next((names.index(word) for names in others if word in names), None)
            if is_style_file(word):
                chosen |= _styles(Path(word).expanduser())
            elif word in known:
                chosen[word] = known[word]
            elif place is not None and place < len(known):  # named in another language, where it has the same place
                name = list(known)[place]
                chosen[name] = known[name]
            else:
                raise UserError(
                    f"There is no kind of question called {word!r}.",
                    hint=did_you_mean(word, known) or f"There are: {', '.join(known)}; a file of your own works too.",
                    field="styles",
                )
        return chosen

    def _place(self, file: str, language: Language) -> Path:
        own = [self.folder / language / file, self.folder / file] if self.folder else []
        return next((path for path in own if path.is_file()), BUILT_IN / language / file)


@cache
def _compiled(source: str) -> jinja2.Template:
    """The template; names that are not given are errors, and it reaches nothing but its values."""
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def is_style_file(word: str) -> bool:
    """Whether it is a file of kinds of questions, and not the name of one."""
    path = Path(word).expanduser()
    return bool(path.suffix) and path.is_file()


def copy_prompts(folder: Path) -> list[Path]:
    """Our prompts, to be changed. UserError where the folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already.", hint="Name a new folder for the prompts.")
    shutil.copytree(BUILT_IN, folder, dirs_exist_ok=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _text(path: Path) -> str:
    """A prompt in whatever encoding it was saved."""
    try:
        return decode_file(path)[0]
    except OSError as error:
        raise UserError(f"Can't read the prompt {path}: {error}.", field="prompts") from None


def _styles(path: Path) -> dict[str, str]:
    """`name: what is asked for` a line; a line without a name is its own."""
    found = {}
    for line in _text(path).splitlines():
        if (line := line.strip()) and not line.startswith("#"):
            parts = re.split(r"[:：]", line, maxsplit=1)
            found[parts[0].strip()] = parts[-1].strip()
    if not found:
        raise UserError(
            f"{path} names no kind of question.", hint="Write one a line, as `name: what it asks`.", field="styles"
        )
    return found
