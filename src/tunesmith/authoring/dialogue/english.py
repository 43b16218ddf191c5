"""Who speaks in English prose: `"…" said Ahab`, `"…," Starbuck asked`, `Stubb cried, "…"`."""

from __future__ import annotations

import re

_VERB = (
    r"(?:said|says|asked|asks|replied|answered|cried|exclaimed|shouted|whispered|murmured|muttered|returned|remarked"
    r"|observed|continued|added|demanded|inquired|enquired|repeated|screamed|roared|called|began|went on|laughed|sighed"
    r"|growled|declared|retorted|ejaculated|interrupted|interposed|rejoined|responded|told|snapped|yelled|insisted)"
)
_TITLE = r"(?:Mr|Mrs|Miss|Dr|Captain|Lord|Lady|Sir|King|Queen|Prince|Princess|Father|Mother|Aunt|Uncle|St)\.?"
_NAME = rf"(?:[Tt]he )?(?:{_TITLE} )?[A-Z][\w’'-]+(?: (?:of |de |von |van )?[A-Z][\w’'-]+){{0,2}}"
_AFTER = re.compile(
    rf"^[,\s—-]*(?:{_VERB}(?: \w+ly)? (?P<one>{_NAME})|(?P<two>{_NAME})(?:,[^,.;]{{0,40}},)?(?: \w+ly)? {_VERB}\b)"
)
_BEFORE = re.compile(
    rf"(?:(?P<one>{_NAME})(?:,[^,.;]{{0,40}},)?(?: \w+ly)? {_VERB}|{_VERB} (?P<two>{_NAME}))"
    r"\b[^.!?;]{0,60}[,:—-]*\s*$"
)
_SPOKEN = re.compile(rf"\b(?:he|she|they|I|it|we|who) {_VERB}\b|\b{_VERB} (?:he|she|they|I|the \w+)\b")
_NO_NAMES = frozenset(
    [
        "He",
        "She",
        "It",
        "They",
        "I",
        "We",
        "You",
        "The",
        "This",
        "That",
        "Then",
        "And",
        "But",
        "So",
        "What",
        "Who",
        "There",
        "Here",
        "Now",
    ]
)


def before(sentence: str) -> str | None:
    """Who speaks the quotation that a sentence leads to, where it says so."""
    match = _BEFORE.search(sentence)
    return _plain(match["one"] or match["two"]) if match else None


def acting(text: str) -> str | None:
    """The name at the head of the last sentence before a quotation that nothing leads to."""
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text.strip())[-1]
    match = re.match(_NAME, sentence)
    return _plain(match[0]) if match and sentence.endswith((".", "!", "?")) else None


def after(text: str) -> str | None:
    """Who spoke the quotation that a text follows, where it says so."""
    match = _AFTER.match(text)
    return _plain(match["one"] or match["two"]) if match else None


def tells(between: str) -> bool:
    """Whether what follows a quotation says that somebody spoke it, were it only `he said`."""
    return _AFTER.match(between) is not None or _SPOKEN.match(between.lstrip(" ,")) is not None


def _plain(name: str) -> str | None:
    name = re.sub(r"^[Tt]he ", "", name).strip()
    return None if name.split()[0] in _NO_NAMES else name
