"""BLEU-4 over characters, as LLaMA-Factory counts it: nltk's `sentence_bleu` with its third way of smoothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from tunesmith.evaluation.scoring import METRICS

_LONGEST = 4


@METRICS.member("bleu")
def bleu(predict: str, label: str) -> Mapping[str, float]:
    return {"bleu-4": 100 * bleu_4(predict, label)}


def bleu_4(predict: str, label: str) -> float:
    """From 0 to 1 (Papineni et al. 2002). An order without any match counts as half a match, the next such as a
    quarter and so on, as in NIST's mteval-v13a (Chen and Cherry 2014, smoothing 3); no shared character is 0."""
    halved, logs = 0, 0.0
    for order in range(1, _LONGEST + 1):
        found, wanted = _grams(predict, order), _grams(label, order)
        matches: float = (found & wanted).total()
        if not matches and order == 1:
            return 0.0
        if not matches:
            halved += 1
            matches = 0.5**halved
        logs += math.log(matches / max(1, found.total())) / _LONGEST
    return math.exp(min(0.0, 1 - len(label) / len(predict)) + logs)


def _grams(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))
