"""Modelfiles: what Ollama is told beside the weights, in a text that its parser reads back as it was meant."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.config.shell import quoted
from tunesmith.errors import UserError, did_you_mean
from tunesmith.runs.files import replace_text

NATIVE_JINJA = "0.30.0"
"""The first Ollama that renders the chat template inside a GGUF itself; older ones know Go templates alone."""

Parameter = str | int | float | bool | Sequence[str]

PARAMETERS: Mapping[str, type] = {
    **dict.fromkeys(("num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread"), int),
    **dict.fromkeys(("seed", "top_k", "repeat_last_n", "draft_num_predict"), int),
    **dict.fromkeys(("temperature", "top_p", "min_p"), float),
    **dict.fromkeys(("repeat_penalty", "presence_penalty", "frequency_penalty"), float),
    "use_mmap": bool,
    "stop": str,
}
"""What may stand after PARAMETER, and of what kind it is; Ollama refuses all other names."""


@dataclass(frozen=True, slots=True)
class Modelfile:
    """One model of Ollama's.

    source: the GGUF file beside the Modelfile, by its name, or the name of a model that the server has (where an
    adapter goes on top). adapter: the GGUF file of the adapter, by its name. requires: the oldest Ollama that serves
    the model as it was trained.
    """

    source: str
    system: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    template: str = ""
    adapter: str = ""
    license: str = ""
    requires: str = ""

    def text(self) -> str:
        """What stands in the file; UserError names a field that the grammar has no way to write."""
        lines = [f"FROM {_file_or_model(self.source)}"]
        if self.adapter:
            lines.append(f"ADAPTER {_beside(self.adapter, 'adapter')}")
        lines += [f"{name} {_quoted(text, name.lower())}" for name, text in self._texts() if text]
        for name, value in checked_parameters(self.parameters).items():
            lines += [f"PARAMETER {name} {_quoted(text, name)}" for text in _as_texts(value)]
        if self.requires:
            lines.append(f"REQUIRES {self.requires}")
        return "\n".join(lines) + "\n"

    def notes(self) -> list[str]:
        """One sentence per field that Ollama reads otherwise than it stands there."""
        stops = _as_texts(self.parameters.get("stop", ()))
        fields = [*self._texts(), *(("PARAMETER stop", stop) for stop in stops)]
        found = [(name, lost_characters(text)) for name, text in fields]
        return [
            f"Ollama drops {', '.join(map(_named, lost))} from {name} when it reads a Modelfile. "
            "Creating the model through the server keeps them."
            for name, lost in found
            if lost
        ]

    def write(self, folder: Path) -> Path:
        """The file `Modelfile` in the folder; UserError where a file that it names is not there.

        Ollama takes a path that leads nowhere for the name of a model, and downloads that.
        """
        text = self.text()
        for name in (self.source if _is_file(self.source) else "", self.adapter):
            if name and not (folder / name).is_file():
                raise UserError(
                    f"The Modelfile would name {name}, and {folder} holds no such file.",
                    hint="Ollama would take the name for a model to download. Export the GGUF file first.",
                )
        replace_text(folder / "Modelfile", text)
        return folder / "Modelfile"

    def _texts(self) -> Iterator[tuple[str, str]]:
        yield "TEMPLATE", self.template
        yield "SYSTEM", self.system
        yield "LICENSE", self.license


def sampling_parameters(
    *,
    stop: Sequence[str],
    num_ctx: int | None = None,
    do_sample: bool = True,
    temperature: float,
    top_p: float,
    top_k: int,
    repetition_penalty: float,
) -> dict[str, Parameter]:
    """Ollama's parameters for what the generation section of a job says.

    All are written out: what Ollama takes where nothing is said (context length, repeat_penalty) differs between
    versions and graphics cards. num_ctx: the training cutoff, or the context of the model.
    """
    chosen: dict[str, Parameter] = {"num_ctx": num_ctx} if num_ctx else {}
    chosen |= {"temperature": float(temperature) if do_sample else 0.0, "top_p": float(top_p), "top_k": top_k}
    chosen |= {"repeat_penalty": float(repetition_penalty)}
    if repetition_penalty != 1.0:
        chosen["repeat_last_n"] = -1  # as in training's own generation: all tokens before count
    return chosen | ({"stop": tuple(dict.fromkeys(stop))} if stop else {})


def checked_parameters(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The parameters as Ollama wants them; UserError for a name or a kind of value that it would refuse."""
    checked: dict[str, Parameter] = {}
    for name, value in parameters.items():
        if name not in PARAMETERS:
            hint = did_you_mean(name, PARAMETERS) or f"Known: {', '.join(sorted(PARAMETERS))}."
            raise UserError(f"Ollama has no parameter called {name!r}.", hint=hint, field=name)
        kind = PARAMETERS[name]
        fits = {
            int: isinstance(value, int) and not isinstance(value, bool),
            float: isinstance(value, int | float) and not isinstance(value, bool),
            bool: isinstance(value, bool),
            str: isinstance(value, str) or (isinstance(value, Sequence) and all(isinstance(v, str) for v in value)),
        }
        if not fits[kind]:
            expected = {int: "a whole number", float: "a number", bool: "true or false", str: "texts"}[kind]
            raise UserError(f"Ollama's parameter {name} takes {expected}, not {value!r}.", field=name)
        checked[name] = value if isinstance(value, str | int | float) else list(value)
    return checked


def lost_characters(text: str) -> tuple[str, ...]:
    """The characters that Ollama's Modelfile parser drops from a value, each once.

    It keeps what Go calls printable (letters, marks, numbers, punctuation, symbols and the plain space), line ends and
    tabs. The ideographic space, the no-break space and the joiners inside emoji are none of these.
    """
    lost = (c for c in text if c not in " \t\n\r" and unicodedata.category(c)[0] not in "LMNPS")
    return tuple(dict.fromkeys(lost))


def create_command(name: str, modelfile: Path) -> str:
    """What to type to create the model in Ollama from its Modelfile."""
    return f"ollama create {model_name(name)[0]} -f {quoted(modelfile)}"


def model_name(text: str) -> tuple[str, str]:
    """A name that Ollama accepts for what the user called the model, and a sentence where the two differ.

    Names are [host/][namespace/]model[:tag] of ASCII letters, digits, `_`, `-` and (but for namespaces) `.`, at most 80
    characters each. Names in other scripts end in a few letters of a hash, so that two of them stay two.
    """
    asked = text.strip()
    head, slash, last = asked.rpartition("/")
    last, colon, tag = last.partition(":")
    owners = [part for part in head.split("/") if part][-2:] if slash else []
    parts = [*(_host(part) if i < len(owners) - 1 else _name_part(part, dots="") for i, part in enumerate(owners))]
    name = "/".join([*parts, _name_part(last)]) + (f":{_name_part(tag)}" if colon and tag else "")
    if name == asked:
        return name, ""
    return name, f"Ollama's names are of plain letters, digits, dots and dashes: {asked!r} is called {name} there."


def _name_part(text: str, *, dots: str = ".") -> str:
    lowered = text.lower()
    plain = re.sub(rf"[^a-z0-9_{dots}-]+", "-", lowered).strip("-.")[:80]
    if any(not c.isascii() and c.isalnum() for c in text) or not plain:
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
        plain = f"{plain[:70].strip('-.') or 'model'}-{digest}"
    return plain


def _host(text: str) -> str:
    host, colon, port = text.partition(":")
    return _name_part(host) + (colon + port if port.isdigit() else "")


# The grammar


def read_value(text: str) -> str | None:
    """What Ollama's parser makes of `text`, written after a command's name and a space; None: it reads on past the end.

    There are no escapes. A value ends at the first line end where what was read so far is whole: not quoted, or closed
    by the marks that it began with. Line ends and tabs pass; other characters that Go can't print are dropped.
    """
    read = ""
    for c in f"{text}\n":
        if c in "\n\r" and (value := _unquoted(read.strip())) is not None:
            return value
        read += "" if lost_characters(c) else c
    return None


def _unquoted(text: str) -> str | None:
    for mark in ('"""', '"'):
        if text.startswith(mark):
            closed = len(text) >= 2 * len(mark) and text.endswith(mark)
            return text[len(mark) : -len(mark)] if closed else None
    return text


def _quoted(text: str, name: str) -> str:
    """The value in the plainest marks that Ollama reads back as it was, but for the characters it always drops."""
    meant = "".join(c for c in text if not lost_characters(c))
    quotings = ('"""', '"', "") if "\n" in text else ("", '"', '"""')
    if name == "stop":
        quotings = ('"', '"""', "")  # bare control tokens read like markup
    for mark in quotings:
        if read_value(f"{mark}{text}{mark}") == meant:
            return f"{mark}{text}{mark}"
    raise UserError(
        f"A Modelfile has no way to write this {name}: one of its lines ends in quotation marks that close it early.",
        hint="Create the model through Ollama's server, which takes any text, or change those marks.",
        field=name,
    )


def _as_texts(value: Parameter) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, str | int | float):
        return [str(value)]
    return list(value)


def _named(character: str) -> str:
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'a control character').lower()})"


def _is_file(source: str) -> bool:
    return source.endswith(".gguf")


def _file_or_model(source: str) -> str:
    if _is_file(source):
        return _beside(source, "source")
    if not re.fullmatch(r"[\w.:/@-]+", source, re.ASCII):
        raise UserError(
            f"{source!r} is neither a GGUF file nor the name of a model of Ollama's.",
            hint="Names look like qwen2.5:7b.",
            field="source",
        )
    return source


def _beside(name: str, what: str) -> str:
    """A file beside the Modelfile as its commands name it."""
    bare = name.removeprefix("./")
    if "/" in bare or "\\" in bare or lost_characters(bare) or bare != bare.strip() or '"' in bare:
        raise UserError(
            f"Ollama can't find a file by the name {name!r} from a Modelfile.",
            hint="Name it with letters, digits and dashes, in the same folder.",
            field=what,
        )
    return f"./{bare}"
