"""A base and its adapters as a stream of merged weights: planned from headers, computed weight by weight.

No more of the model is ever in memory than one weight, so merging needs no more for 70B than for 1B. Each weight is
computed in float32 from what lies on disk and rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.export.adaptation import Adaptation, adapter_weights, read_adapter
from tunesmith.export.base import base_tensors, read_config
from tunesmith.export.deltas import AdapterFile, Change
from tunesmith.export.growth import BaseTensor, Grown, NewTokens, rows_told
from tunesmith.export.skeleton import Piece, Skeleton, load_skeleton
from tunesmith.export.weights import Source, Weight
from tunesmith.models.adapter_files import another_base
from tunesmith.models.locate import LocalModel
from tunesmith.models.weights import StoredParameter

FIELD = "model_name_or_path"


def open_source(
    located: LocalModel,
    vocabulary_folder: Path,
    adapters: Sequence[Path],
    *,
    dtype: torch.dtype | None = None,
    trust_remote_code: bool = False,
) -> Source:
    """The model with its adapters merged one after the other, no weight of it read yet.

    vocabulary_folder: of `prepare_vocabulary`. adapters: folders, in the order they were trained in. dtype: of floating
    weights; by default as the base has them, bfloat16 for a GGUF file.

    UserError for a base or an adapter that can't be merged, or that don't belong together; `Weight.read` raises it
    where a merged weight is no number.
    """
    notes: list[str] = []
    config = read_config(vocabulary_folder, located, notes)
    base = base_tensors(located, dtype)
    files = [adapter_weights(folder) for folder in adapters]
    grown = NewTokens.between(located, vocabulary_folder)
    if not files and grown is None:
        weights = [Weight(name, each.shape, kind, partial(each.read, kind)) for name, (each, kind) in base.items()]
        return _source(located, vocabulary_folder, (), weights, config, notes)
    folder = vocabulary_folder if (vocabulary_folder / "config.json").is_file() else located.path
    plan = _Plan(base, load_skeleton(folder, trust_remote_code), notes)
    plan.settle_vocabulary(grown, files)
    for path, file in zip(adapters, files, strict=True):
        model = plan.skeleton.fresh()
        model.name_or_path = located.repository or str(located.path)
        if sentence := another_base(model, path):
            notes.append(sentence)
        adaptation = read_adapter(path, file, model)
        notes.extend(adaptation.notes)
        if adaptation.is_nothing():
            notes.append(f"The adapter {path} changes nothing: all its weights are zero. Was it trained?")
        plan.take(path, adaptation)
    weights = plan.weights()
    plan.settle_config(config)
    return _source(located, vocabulary_folder, tuple(adapters), weights, config, notes)


def _source(
    located: LocalModel,
    folder: Path,
    adapters: tuple[Path, ...],
    weights: list[Weight],
    config: dict[str, Any],
    notes: list[str],
) -> Source:
    floating = [weight for weight in weights if weight.dtype.is_floating_point]
    config.pop("torch_dtype", None)
    if floating:
        most = max(floating, key=lambda weight: weight.nbytes).dtype
        config["dtype"] = str(most).removeprefix("torch.")
    place, repository = str(located.path), located.repository
    return Source(weights, config, folder, place, adapters, tuple(notes), repository=repository)


class _Plan:
    """What every parameter of the model will be: the base's tensor or one that stands in for it, and its changes."""

    def __init__(
        self, base: Mapping[str, tuple[BaseTensor, torch.dtype]], skeleton: Skeleton, notes: list[str]
    ) -> None:
        self.base, self.skeleton, self.notes = dict(base), skeleton, notes
        self.pieces = {name: skeleton.piece(name) for name in self.base}
        self.tied, self.untied = skeleton.tied, False
        self.stands_in: dict[str, StoredParameter] = {}
        self.changes: dict[str, list[Change]] = {}
        if self.tied:  # a head saved along is never read: transformers ties it
            self.base = {name: each for name, each in self.base.items() if not self._is(name, skeleton.head)}

    def _is(self, name: str, parameter: str | None) -> bool:
        return self.pieces[name].parameter == parameter

    def _on_disk(self, parameter: str) -> str:
        found = [name for name in self.base if self._is(name, parameter)]
        if not found:
            raise UserError(f"The base has no weight {parameter}.", hint="Download it again.", field=FIELD)
        return found[0]

    def settle_vocabulary(self, grown: NewTokens | None, files: Sequence[AdapterFile]) -> None:
        """Give the skeleton and the base a row for each token, as models/vocabulary.py does before training."""
        embedding, head = self.skeleton.embedding, self.skeleton.head
        name = self._on_disk(embedding)
        rows = self.base[name][0].shape[0]
        wanted = grown.rows if grown is not None and grown.size > rows else rows
        for file in files:
            wanted = rows_told(file, embedding, head) or wanted
        if grown is not None or wanted != rows:
            known = rows if grown is None else min(rows, grown.known)
            fresh = range(known, rows if grown is None else min(rows, grown.size))
            grow = {embedding, head, f"{(head or '').removesuffix('.weight')}.bias"}
            for each, (tensor, dtype) in self.base.items():
                if self.pieces[each].parameter in grow:
                    self.base[each] = Grown(tensor, wanted, known, fresh), dtype
        if wanted != rows:
            self.notes.append(f"The vocabulary has {wanted:,} rows instead of the base's {rows:,}.")
            self.skeleton = self.skeleton.with_text(vocab_size=wanted)

    def take(self, path: Path, adaptation: Adaptation) -> None:
        """Lay one adapter over what there is. UserError where it changes what the base does not hold as told."""
        forms = {piece.parameter: piece for piece in self.pieces.values()}
        if self.tied and self.skeleton.head:
            forms[self.skeleton.head] = Piece(self.skeleton.head)
        for name in {**adaptation.replaced, **adaptation.changes}:
            form = forms.get(name)
            if form is None or form.foreign or (form.expert is not None and name in adaptation.replaced):
                raise UserError(
                    f"The adapter {path} changes {name}, which the base's files hold in another form.",
                    hint="Save the base again with a current transformers, or keep using the adapter beside it.",
                    field="adapter_name_or_path",
                )
        if self.tied and not self._stays_tied(adaptation):
            self._untie()
        for name, stored in adaptation.replaced.items():
            self.stands_in[name] = stored
            self.changes.pop(name, None)
        for name, changes in adaptation.changes.items():
            self.changes.setdefault(name, []).extend(changes)

    def _stays_tied(self, adaptation: Adaptation) -> bool:
        """Whether embedding and head become the same."""
        one, other = self.skeleton.embedding, self.skeleton.head
        assert other is not None
        replaced = [adaptation.replaced.get(name) for name in (one, other)]
        changes = [adaptation.changes.get(name, []) for name in (one, other)]
        if not any(replaced) and not any(changes):
            return True
        return _equal_tensors(*replaced) and _equal_changes(*changes)

    def _untie(self) -> None:
        embedding, head = self.skeleton.embedding, self.skeleton.head
        assert head is not None
        self.tied, self.untied = False, True
        self.base[head] = self.base[self._on_disk(embedding)]
        self.pieces[head] = Piece(head)
        if embedding in self.stands_in:
            self.stands_in[head] = self.stands_in[embedding]
        self.changes[head] = list(self.changes.get(embedding, ()))
        self.skeleton = self.skeleton.with_text(tie_word_embeddings=False)
        self.notes.append(
            "The adapter treats the embedding and the output head, which were one in the base, differently: "
            "the merged model has both."
        )

    def weights(self) -> list[Weight]:
        found = []
        for name, (tensor, dtype) in self.base.items():
            piece = self.pieces[name]
            stored = self.stands_in.get(piece.parameter, tensor)
            changes = tuple(self.changes.get(piece.parameter, ()))
            rows = self.skeleton.parameters.get(piece.parameter, (1,))[-2:][0]
            changed = bool(changes) or stored is not tensor
            read = (
                partial(merged, name, stored, changes, piece, rows, dtype) if changed else partial(stored.read, dtype)
            )
            found.append(Weight(name, stored.shape, dtype, read))
        return found

    def settle_config(self, config: dict[str, Any]) -> None:
        """Bring config.json in step with the weights."""
        nested = config.get("text_config")
        text = nested if isinstance(nested, dict) else config
        text["vocab_size"] = self.skeleton.config.get_text_config().vocab_size
        for each in (config, text) if self.untied else ():
            each["tie_word_embeddings"] = False


def merged(
    name: str,
    stored: BaseTensor,
    changes: Sequence[Change],
    piece: Piece,
    rows: int,
    dtype: torch.dtype,
) -> Tensor:
    """The weight `name` of `dtype`, contiguous, with its changes. rows: of one matrix, where several lie end to end.

    UserError where a number became infinite or none at all.
    """
    result = torch.empty(stored.shape, dtype=dtype)
    flat = result.view(-1, stored.shape[-1])
    applied = [change.load() for change in changes]
    blocks: Iterator[Tensor] = stored.blocks()
    whole = any(change.whole for change in changes)
    if whole:
        blocks = iter([torch.cat(list(blocks))])
    first = 0
    for block in blocks:
        block = block.to(torch.promote_types(block.dtype, torch.float32))
        for part, expert, row in _by_matrix(block, first, piece, rows, stacked=len(stored.shape) == 3 and not whole):
            changed = part
            for apply in applied:
                changed = apply(changed, expert, row)
            place = flat[first : first + len(part)]
            place.copy_(changed)
            first += len(part)
            if not torch.isfinite(place).all():
                raise UserError(
                    f"{name} is no longer finite once the adapter is merged.",
                    hint="The training diverged, or float16 is too narrow: take an earlier checkpoint or bfloat16.",
                    field="adapter_name_or_path",
                )
    return result


def _by_matrix(
    block: Tensor, first: int, piece: Piece, rows: int, *, stacked: bool
) -> Iterator[tuple[Tensor, int | None, int]]:
    """(part, expert, first row in its matrix): a block cut where one expert's matrix ends."""
    if not stacked:
        yield block, piece.expert, piece.first + first
        return
    done = 0
    while done < len(block):
        expert, row = divmod(first + done, rows)
        part = block[done : done + rows - row]
        yield part, expert, row
        done += len(part)


def _equal_tensors(one: StoredParameter | None, other: StoredParameter | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and all(map(torch.equal, one.blocks(), other.blocks()))


def _equal_changes(some: Sequence[Change], others: Sequence[Change]) -> bool:
    return len(some) == len(others) and all(one.same_as(other) for one, other in zip(some, others, strict=True))
