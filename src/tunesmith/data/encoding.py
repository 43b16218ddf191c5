"""Which character encoding a text file is in: UTF-8 where it can be, otherwise found out and said.

Text in a wrong encoding trains without an error and spoils the model, so what is not plain is refused.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from tunesmith.errors import UserError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_SCANNED = 64  # chunks looked at for bytes that are not UTF-8; a stray one behind that is refused with its row
# Han characters that ordinary Chinese text is full of; garbled text hits them by chance only.
_FREQUENT = frozenset(
    "的一是不了在人有我他这這中大来來上国國个個到说說们們为為子和你地出道也时時年得就那要下以生会會自着著去之过過家学學对對"
    "可她里裡后後小么麼心多天而能好都然没沒日于於起还還发發成事只作当當想看文无無开開手十用主行方又如前所本见見经經头頭面公"
    "同三已老从從动動两兩长長请請什吗嗎答问問题題"
)
# Letters beyond ASCII of the languages that Windows-1252 is used for. Text that is in another encoding mixes them.
_WESTERN = tuple(
    map(
        frozenset,
        ("àâæçéèêëîïôœùûü", "äöüß", "áéíñóúüºª", "áâãàçéêíóôõúºª", "àèéìîòóù", "àçèéíïòóúü", "åäöæøé", "ëïéèüöó"),
    )
)
_WESTERN_MARKS = frozenset("«»“”„‘’–—…€£°§©®·•¿¡\u00a0×²™")
_DOS_LETTERS = re.compile("(?<=[a-z])[“”„…](?=[a-z])")  # ö, ä and à of DOS code pages stand inside words


def detect_encoding(path: Path) -> str:
    """Python's name of the encoding of a file; UserError when it is none that text is written in."""
    with path.open("rb") as file:
        head = file.read(_CHUNK)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name
        if (wide := _utf16_without_mark(head)) is not None:
            return wide
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk, sample = head, head
        for _ in range(_SCANNED):
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                sample = sample if chunk is head else chunk[max(0, error.start - 65536) : error.start + 65536]
                return _guess(sample, path)
            if not chunk:
                break
            chunk = file.read(_CHUNK)
    return "utf-8"


def decode_file(path: Path) -> tuple[str, str]:
    """(text, encoding) of a small file."""
    name = detect_encoding(path)
    try:
        return path.read_text(encoding=name), name
    except UnicodeError as error:
        raise UserError(f"{path} looks like {name} and has bytes that are not ({error}).", hint=_HINT) from None


_HINT = "Save the file as UTF-8."


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 has zero bytes, in blanks and ends of lines at least, and reads as text in one order of bytes only."""
    sample = head[: min(len(head), 1 << 16) // 2 * 2]
    if len(sample) < 4 or b"\0" not in sample:
        return None
    return next((name for name in ("utf-16-le", "utf-16-be") if _is_clean(sample.decode(name, errors="replace"))), None)


def _is_clean(text: str) -> bool:
    """Whether it has blanks or ends of lines and hardly anything that is no character; one may be cut at its end."""
    odd = sum(unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs") and char not in "\t\n\r\f" for char in text)
    odd += text[:-1].count("\N{REPLACEMENT CHARACTER}")
    return odd <= len(text) // 500 and any(char in text for char in " \n\t")


def _guess(sample: bytes, path: Path) -> str:
    """The encoding of bytes that are not all UTF-8; UserError where it is not plain."""
    read = sample.decode("utf-8", errors="replace")
    if sum(char > "\x7f" for char in read) > 5 * read.count("�"):
        return "utf-8"  # with a few damaged bytes
    chinese = {name: _share_of_frequent(sample, name) for name in ("gb18030", "big5hkscs")}
    best = max(chinese, key=lambda name: chinese[name])
    if chinese[best] > 0.1:
        return best
    if _is_western(sample):
        return "cp1252"
    if read.count("\n") > 20 * sum("�" in line for line in read.split("\n")):
        return "utf-8"  # ASCII but for a few damaged lines
    raise _unsure(sample, path)


def _unsure(sample: bytes, path: Path) -> UserError:
    from charset_normalizer import from_bytes

    match = from_bytes(sample, threshold=0.3).best()
    if match is None:
        return UserError(f"{path} is not text in any known encoding; is it a text file?", hint=_HINT, field="dataset")
    name = codecs.lookup(match.encoding).name.upper()
    return UserError(
        f"{path} is not UTF-8. Its bytes look most like {name}, which is too unsure to train on.",
        hint='Save it as UTF-8 in the program it came from ("CSV UTF-8" in a spreadsheet), or, if it is'
        f" {name}: iconv -f {name} -t UTF-8 {path.name} > utf8-{path.name}",
        field="dataset",
    )


def _share_of_frequent(sample: bytes, encoding: str) -> float:
    """Share of frequent Han characters among all beyond ASCII; 0 when too many bytes are not in this encoding."""
    text = sample.decode(encoding, errors="replace")
    beyond = [char for char in text if char > "\x7f"]
    if not beyond or text.count("�") > 2 + len(beyond) // 4:
        return 0.0
    return sum(char in _FREQUENT for char in beyond) / len(beyond)


def _is_western(sample: bytes) -> bool:
    """Whether it reads, in Windows-1252, as one language of Western Europe with an accent here and there."""
    text = sample.decode("cp1252", errors="replace").lower()
    beyond = [char for char in text if char > "\x7f"]
    letters = [char for char in beyond if char not in _WESTERN_MARKS]
    fitting = max(sum(char in language for char in letters) for language in _WESTERN)
    odd = len(letters) - fitting + len(_DOS_LETTERS.findall(text))
    plain = sum(char.isalpha() and char.isascii() for char in text)
    return odd <= len(beyond) // 20 and len(letters) < plain // 3
