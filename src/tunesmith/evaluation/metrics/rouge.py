"""ROUGE-1, ROUGE-2 and ROUGE-L over words, as LLaMA-Factory counts them: those of the package rouge-chinese."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rapidfuzz.distance import LCSseq

from tunesmith.evaluation.scoring import METRICS
from tunesmith.evaluation.words import words

_SENTENCE_ENDS = (
    (re.compile(r"([。！？?])([^”’])"), r"\1\n\2"),
    (re.compile(r"(\.{6})([^”’])"), r"\1\n\2"),
    (re.compile(r"(…{2})([^”’])"), r"\1\n\2"),
    (re.compile(r"([。！？?][”’])([^，。！？?])"), r"\1\n\2"),
)


@METRICS.member("rouge")
def rouge(predict: str, label: str) -> Mapping[str, float]:
    """F1 of the n-grams that both have, each counted once, and of the longest common subsequence (Lin 2004)."""
    found, wanted = _tokens(predict), _tokens(label)
    if not found or not wanted:
        return {"rouge-1": 0.0, "rouge-2": 0.0, "rouge-l": 0.0}
    longest = LCSseq.similarity(found, wanted)
    return {
        "rouge-1": _shared(found, wanted, 1),
        "rouge-2": _shared(found, wanted, 2),
        "rouge-l": _f1(longest, len(found), len(wanted)),
    }


def _shared(found: Sequence[str], wanted: Sequence[str], order: int) -> float:
    ours, theirs = ({tuple(each[at : at + order]) for at in range(len(each) - order + 1)} for each in (found, wanted))
    return _f1(len(ours & theirs), len(ours), len(theirs))


def _f1(matches: int, found: int, wanted: int) -> float:
    precision, recall = matches / max(1, found), matches / max(1, wanted)
    return 100 * 2 * precision * recall / (precision + recall + 1e-8)


def _tokens(text: str) -> list[str]:
    """The words of the text; none where it has none.

    What that package makes of blank lines and long rows of dots decides scores, so it is kept: a blank line counts as
    an empty word.
    """
    joined = " ".join(words(text))
    if not joined.split():
        return []
    for end, parted in _SENTENCE_ENDS:
        joined = end.sub(parted, joined)
    sentences = [sentence for sentence in joined.rstrip().split("\n") if sentence]
    return [word for sentence in sentences for word in " ".join(sentence.split()).split(" ")]
