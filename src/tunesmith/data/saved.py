"""Prepared data kept in a folder of the user's choice (`tokenized_path`), complete or not there at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.data.report import DataReport, DatasetReport
from tunesmith.data.tokens import Samples, TokenFile, TokenStore, TokenWriter
from tunesmith.errors import UserError
from tunesmith.text.encode import TokenSample

_INDEX = "prepared.json"  # written last
_COPIED = 4096  # rows at a time
_OWN_PLACE = re.compile(r"train|eval-\d+")
_OWN_LEFTOVER = re.compile(rf"(train|eval-\d+)\.partial-[0-9a-f]{{8}}|{re.escape(_INDEX)}\.partial")


@dataclass(frozen=True, slots=True)
class PreparedData:
    """What is trained on and evaluated on. train: None where the job only evaluates. evals: name → samples."""

    train: Samples | None
    evals: Mapping[str, Samples]
    report: DataReport


def is_saved(folder: Path) -> bool:
    """Whether prepared data lies there; UserError where something else does."""
    if (folder / _INDEX).is_file():
        return True
    if folder.is_dir():
        foreign = sorted(path.name for path in folder.iterdir() if not _is_own(path))
        found = f"holds other files ({', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''})" if foreign else ""
    else:
        found = "is a file" if folder.exists() else ""
    if found:
        raise UserError(
            f"`tokenized_path` {folder} {found}; nothing there was touched.",
            hint="Choose a folder that is new or empty; the data will be tokenized into it.",
            field="tokenized_path",
        )
    return False


def save_prepared(prepared: PreparedData, folder: Path, settings: Mapping[str, Any], tokenizer: str) -> PreparedData:
    """Copy the samples into the folder; an index written last makes it valid."""
    names = {f"eval-{number}": name for number, name in enumerate(prepared.evals)}
    stores = {**({"train": prepared.train} if prepared.train is not None else {})}
    stores.update({place: prepared.evals[name] for place, name in names.items()})
    for place, store in stores.items():
        if _is_own(folder / place):  # left by a process that ended before the index
            shutil.rmtree(folder / place)
        _copy(store, folder / place)
    index = {
        "settings": dict(settings),
        "tokenizer": tokenizer,
        "evals": names,
        "report": prepared.report.to_json(),
    }
    partial = folder / f"{_INDEX}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(index, file, ensure_ascii=False, default=dict)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / _INDEX)
    note = f"The tokenized data is kept in {folder}; while it is there, it is used as it is."
    return PreparedData(prepared.train, prepared.evals, _noted(prepared.report, (note,)))


def load_prepared(folder: Path, settings: Mapping[str, Any], tokenizer: str) -> PreparedData:
    """The data kept in a folder; a note on each setting that it was not made with, UserError for another tokenizer."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        places = {place: TokenStore.of(TokenFile(folder / place)) for place in index["evals"]}
        train = TokenStore.of(TokenFile(folder / "train")) if TokenFile.exists(folder / "train") else None
        report = _report(index["report"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The tokenized data in {folder} is damaged ({error}).",
            hint="Delete the folder; the data will be tokenized anew.",
            field="tokenized_path",
        ) from error
    if index["tokenizer"] != tokenizer:
        raise UserError(
            f"The tokenized data in {folder} was made with another tokenizer than this model's.",
            hint="Choose another `tokenized_path`, or delete the folder.",
            field="tokenized_path",
        )
    notes = [f"The data is taken as it is from {folder}; the settings for data are not applied again."]
    plain = json.loads(json.dumps(dict(settings), default=dict))
    for key, made in index["settings"].items():
        if plain.get(key) != made:
            notes.append(f"It was made with {key}: {made!r}; the job says {plain.get(key)!r}, without effect.")
    evals: dict[str, Samples] = {index["evals"][place]: store for place, store in places.items()}
    return PreparedData(train, evals, _noted(report, tuple(notes)))


def _is_own(path: Path) -> bool:
    """Whether something in the folder was put there by an unfinished `save_prepared`."""
    if _OWN_LEFTOVER.fullmatch(path.name):
        return True
    return bool(_OWN_PLACE.fullmatch(path.name)) and TokenFile.exists(path) and TokenFile.alone(path)


def _copy(store: Samples, folder: Path) -> None:
    with TokenWriter(folder) as writer:
        for start in range(0, len(store), _COPIED):
            rows = range(start, min(start + _COPIED, len(store)))
            writer.append([TokenSample(store.ids(row), store.weights(row), False) for row in rows])
        writer.finish({})


def _report(values: Mapping[str, Any]) -> DataReport:
    datasets = tuple(DatasetReport.from_json(one, cached=True) for one in values["datasets"])
    return DataReport(datasets, tuple(values["notes"]), values["train_samples"], values["eval_samples"])


def _noted(report: DataReport, notes: tuple[str, ...]) -> DataReport:
    return replace(report, notes=report.notes + notes)
