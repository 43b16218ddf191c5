"""Token samples on disk, in columns: written once, then memory-mapped, so that a data set costs no memory.

A folder holds ids.npy (int32, all samples end to end), flags.npy (uint8, 1 = trained), offsets.npy (int64, sample
borders) and meta.json. It is written aside and renamed when complete: a folder that is there is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tunesmith.text.encode import TokenSample

_STALE = 24 * 3600  # seconds after which an unfinished folder is taken for a dead process's
_VERSION = 1

Ids = NDArray[np.int32]
Weights = NDArray[np.float32]


class _Column:
    """A .npy file that grows; its header, which numpy pads for growth, is rewritten at the end."""

    def __init__(self, path: Path, dtype: type) -> None:
        self._file: BinaryIO = path.open("wb")
        self._dtype = np.dtype(dtype)
        self._length = 0
        self._header()

    def append(self, values: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self._length += len(values)

    def finish(self) -> None:
        start = self._file.tell()
        self._file.seek(0)
        self._header()
        self._file.seek(start)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def _header(self) -> None:
        described = npy.dtype_to_descr(self._dtype)
        npy.write_array_header_1_0(self._file, {"descr": described, "fortran_order": False, "shape": (self._length,)})


class TokenWriter:
    """Writes one folder of token samples: `with TokenWriter(folder) as writer: writer.append(…); writer.finish(…)`.

    Left without `finish`, by an error or a kill, nothing is at the folder's place.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        self._aside = folder.with_name(f"{folder.name}.partial-{uuid.uuid4().hex[:8]}")
        self._aside.mkdir()
        self._ids = _Column(self._aside / "ids.npy", np.int32)
        self._flags = _Column(self._aside / "flags.npy", np.uint8)
        self._offsets = _Column(self._aside / "offsets.npy", np.int64)
        self._offsets.append(np.zeros(1, dtype=np.int64))
        self.tokens = 0
        self.trained = 0
        self.rows = 0

    def append(self, samples: Sequence[TokenSample]) -> None:
        if not samples:
            return
        lengths = np.fromiter((len(sample.input_ids) for sample in samples), np.int64, len(samples))
        flags = np.concatenate([sample.weights for sample in samples]) != 0
        self._ids.append(np.concatenate([sample.input_ids for sample in samples]))
        self._flags.append(flags.view(np.uint8))
        self._offsets.append(self.tokens + np.cumsum(lengths))
        self.tokens += int(lengths.sum())
        self.trained += int(np.count_nonzero(flags))
        self.rows += len(samples)

    def finish(self, meta: Mapping[str, Any]) -> TokenFile:
        """Put the folder in its place; where another process was faster with the same, its folder is taken."""
        for column in (self._ids, self._flags, self._offsets):
            column.finish()
        counts = {"version": _VERSION, "rows": self.rows, "tokens": self.tokens, "trained": self.trained}
        with (self._aside / "meta.json").open("w", encoding="utf-8") as file:
            json.dump({**meta, **counts}, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.rename(self._aside, self._folder)
        except OSError:
            if not (self._folder / "meta.json").is_file():
                raise
        return TokenFile(self._folder)

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for column in (self._ids, self._flags, self._offsets):
            column.close()
        shutil.rmtree(self._aside, ignore_errors=True)


class TokenFile:
    """One folder of token samples, memory-mapped. meta: what the writer noted, with rows, tokens and trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self._ids = _mapped(folder / "ids.npy")
        self._flags = _mapped(folder / "flags.npy")
        self._offsets = np.load(folder / "offsets.npy")

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / "meta.json").is_file()

    @staticmethod
    def alone(folder: Path) -> bool:
        """Whether the folder holds nothing else."""
        return {path.name for path in folder.iterdir()} <= {"ids.npy", "flags.npy", "offsets.npy", "meta.json"}

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self._offsets)

    def sample(self, row: int) -> tuple[Ids, NDArray[np.uint8]]:
        """(ids int32 [T], flags uint8 [T]) of a row, views of the file."""
        start, end = self._offsets[row], self._offsets[row + 1]
        return self._ids[start:end], self._flags[start:end]


class TokenStore:
    """Samples chosen from token files, in a fixed order. parts: int16 [N], rows: int64 [N]."""

    def __init__(self, files: Sequence[TokenFile], parts: NDArray[np.int16], rows: NDArray[np.int64]) -> None:
        self._files = tuple(files)
        self._parts = parts
        self._rows = rows
        by_file = [file.lengths for file in self._files]
        self.lengths: NDArray[np.int64] = np.zeros(len(rows), dtype=np.int64)
        for number, lengths in enumerate(by_file):
            mine = parts == number
            self.lengths[mine] = lengths[rows[mine]]

    @classmethod
    def of(cls, file: TokenFile) -> TokenStore:
        """All samples of one file."""
        return cls([file], np.zeros(len(file), dtype=np.int16), np.arange(len(file), dtype=np.int64))

    @classmethod
    def joined(cls, stores: Sequence[TokenStore], which: NDArray[np.int16], rows: NDArray[np.int64]) -> TokenStore:
        """Samples picked from several stores: sample i is row rows[i] of store which[i]."""
        files = [file for store in stores for file in store._files]
        parts, places = np.zeros_like(which), np.zeros_like(rows)
        base = 0
        for number, store in enumerate(stores):
            mine = which == number
            parts[mine] = store._parts[rows[mine]] + base
            places[mine] = store._rows[rows[mine]]
            base += len(store._files)
        return cls(files, parts, places)

    def select(self, indices: NDArray[np.int64]) -> TokenStore:
        """The samples at these places of this store."""
        return TokenStore(self._files, self._parts[indices], self._rows[indices])

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    def ids(self, row: int) -> Ids:
        """int32 [T]."""
        return self._files[self._parts[row]].sample(self._rows[row])[0]

    def weights(self, row: int) -> Weights:
        """float32 [T], of the tokens themselves, not shifted."""
        return self._files[self._parts[row]].sample(self._rows[row])[1].astype(np.float32)


class SampleStore(Protocol):
    """Samples that are there, by number."""

    @property
    def lengths(self) -> NDArray[np.int64]: ...

    def __len__(self) -> int: ...

    def ids(self, row: int) -> Ids: ...

    def weights(self, row: int) -> Weights: ...


class ChunkedStore:
    """The samples of a store laid end to end and cut every `length` tokens; the last chunk may be shorter.

    So documents fill every row in pre-training, and none of their tokens is left out.
    """

    def __init__(self, store: SampleStore, length: int) -> None:
        self._store = store
        self._ends = np.cumsum(store.lengths)
        total = int(self._ends[-1]) if len(store) else 0
        self._starts = np.arange(0, total, length, dtype=np.int64)
        self.lengths: NDArray[np.int64] = np.diff(np.append(self._starts, total))

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    def ids(self, row: int) -> Ids:
        """int32 [T]."""
        return np.concatenate([self._store.ids(i)[part] for i, part in self._slices(row)])

    def weights(self, row: int) -> Weights:
        """float32 [T]."""
        return np.concatenate([self._store.weights(i)[part] for i, part in self._slices(row)])

    def _slices(self, row: int) -> list[tuple[int, slice]]:
        start, stop = int(self._starts[row]), int(self._starts[row] + self.lengths[row])
        first, last = np.searchsorted(self._ends, [start, stop - 1], side="right")
        slices = []
        for i in range(first, last + 1):
            base = int(self._ends[i] - self._store.lengths[i])
            slices.append((i, slice(max(0, start - base), min(int(self._store.lengths[i]), stop - base))))
        return slices


Samples = TokenStore | ChunkedStore


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:  # an empty array can't be mapped
        return np.load(path)


def _remove_stale(folder: Path) -> None:
    for partial in folder.parent.glob(f"{folder.name}.partial-*"):
        if time.time() - partial.stat().st_mtime > _STALE:
            shutil.rmtree(partial, ignore_errors=True)
