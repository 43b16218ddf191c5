"""Data sets of any size with the statistics of real text: random walks over word and character chains of real prose.

A walk keeps the local statistics that tokenizers feel (word and clause lengths, rare words, punctuation) and never runs
out, so 100,000 rows do not repeat one another's sentences as rows cut from a few megabytes would.
The same seed gives the same rows on every machine.
"""

import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import fetch

EMOJI = "😀🎉🚀🌍💡🔥✅👍🏽🧠📚"
ASKS_EN = (
    "Explain why",
    "Summarize the following:",
    "Write a short note about how",
    "Rewrite this sentence:",
    "List three reasons why",
    "What would you answer to someone who says that",
    "Translate into plain words:",
)
ASKS_ZH = (
    "请解释：",
    "总结下面这段话：",
    "写一段短文，说明",
    "改写这句话：",
    "列出三个理由，说明",
    "怎样回答这样的说法：",
    "用简单的话讲讲",
)


@dataclass(frozen=True)
class Chain:
    """An order-`order` Markov chain over pieces of text (words or characters)."""

    follows: dict[tuple[str, ...], Sequence[str]]
    starts: Sequence[tuple[str, ...]]
    order: int
    glue: str

    @classmethod
    def of(cls, pieces: Sequence[str], *, order: int, glue: str, ends: str) -> "Chain":
        """Learn a chain; `ends` holds the characters after which a new sentence starts."""
        follows: dict[tuple[str, ...], list[str]] = defaultdict(list)
        starts = []
        for i in range(len(pieces) - order):
            state = tuple(pieces[i : i + order])
            follows[state].append(pieces[i + order])
            if i and pieces[i - 1][-1] in ends:
                starts.append(state)
        return cls(dict(follows), starts, order, glue)

    def walk(self, rng: random.Random, length: int) -> str:
        """A text of about `length` pieces."""
        out: list[str] = []
        while len(out) < length:
            state = _pick(rng, self.starts)
            out.extend(state)
            while len(out) < length and (choices := self.follows.get(state)):
                piece = _pick(rng, choices)
                out.append(piece)
                state = (*state[1:], piece)
        return self.glue.join(out)


def english_chain(work: Path) -> Chain:
    """Words, two by two."""
    return Chain.of(fetch.english_text(work).split(), order=2, glue=" ", ends=".!?")


def chinese_chain(work: Path) -> Chain:
    """Characters, three by three."""
    return Chain.of(fetch.chinese_text(work).replace("\n", ""), order=3, glue="", ends="。！？")


def write_rows(path: Path, work: Path, *, rows: int, mean_length: float, spread: float, seed: int) -> Path:
    """Write an alpaca file of `rows` rows, English and Chinese in turn, unless it is there.

    The length of an answer is log-normal: `mean_length` is its mean in English words (Chinese takes 1.6 characters for
    one), `spread` the standard deviation of its logarithm.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        chains = (english_chain(work), chinese_chain(work))
        aside = path.with_suffix(".partial")
        data = list(_rows(chains, rows, mean_length, spread, random.Random(seed)))
        aside.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(aside, path)
    return path


def _rows(chains: tuple[Chain, Chain], rows: int, mean: float, spread: float, rng: random.Random) -> Iterator[dict]:
    for number in range(rows):
        chinese = number % 2
        chain, scale = chains[chinese], 1.6 if chinese else 1.0
        length = scale * mean * rng.lognormvariate(-spread * spread / 2, spread)
        ask = _pick(rng, ASKS_ZH if chinese else ASKS_EN)
        instruction = f"{ask}{chain.glue}{chain.walk(rng, int(scale * rng.randrange(4, 20)))}"
        context = chain.walk(rng, int(scale * rng.randrange(8, 60))) if rng.random() < 0.3 else ""
        yield {"instruction": instruction, "input": context, "output": _answer(chain, rng, max(2, int(length)))}


def _answer(chain: Chain, rng: random.Random, length: int) -> str:
    """Prose, a numbered list, a table of figures or prose with an emoji; one in ten begins with a line break."""
    kind = rng.random()
    if kind < 0.2 and length > 30:
        items = rng.randrange(2, 6)
        text = "\n".join(f"{i + 1}. {chain.walk(rng, length // items)}" for i in range(items))
    elif kind < 0.3 and length > 20:
        figures = "\n".join(f"| {rng.randrange(1900, 2030)} | {rng.random() * 100:.2f}% |" for _ in range(3))
        text = f"{chain.walk(rng, length - 15)}\n\n{figures}"
    elif kind < 0.35:
        text = f"{chain.walk(rng, length)} {_pick(rng, EMOJI)}"
    else:
        text = chain.walk(rng, length)
    return f"\n\n{text}" if rng.random() < 0.1 else text


def _pick(rng: random.Random, choices: Sequence) -> str:
    return choices[int(rng.random() * len(choices))]
