"""`data check` and `data preview`: from a job to what there is to know of its data; torch only where it must be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tunesmith.config import Job, ModelConfig
from tunesmith.config.places import cache_folder
from tunesmith.data.catalog import resolve
from tunesmith.data.check import CheckReport, check_dataset, render_check
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.prepare import encode_options
from tunesmith.data.preview import preview_rows, render_preview
from tunesmith.errors import UserError
from tunesmith.i18n import told, tr, translated
from tunesmith.models.locate import locate, missing_place
from tunesmith.text.encode import Encoder
from tunesmith.text.template import ChatTemplate, template_for
from tunesmith.text.tokenizer import Tokenizer

_PIPED_WIDTH = 160


@dataclass(frozen=True, slots=True)
class TextReader:
    """How the job's model reads text. template: None for plain documents. notes: on the choice of the template."""

    tokenizer: Tokenizer
    template: ChatTemplate | None
    notes: tuple[str, ...] = ()

    def encoder(self, job: Job, cutoff_len: int | None) -> Encoder:
        options = encode_options(job.data, job.objective.stage, cutoff_len)
        return Encoder(self.tokenizer, self.template, options)


def check(job: Job) -> int:
    """Report on every data set of the job. 1 where nothing of one can be used, or, with `strict`, not everything.

    Where the model can't be had (no network), rows are checked all the same, without their tokens.
    """
    console = _console()
    trained, held = _entries(job)
    reader, uncounted = None, Text(tr("Token lengths need a model's tokenizer: add model_name_or_path=…"), "dim")
    if name := job.model.model_name_or_path:
        if mistaken := missing_place(name):
            raise mistaken
        try:
            tokenizer = _tokenizer(job.model)
        except UserError as error:
            uncounted = Text(f"{tr('Tokens are not counted:')} {told(error)}", "yellow")
        else:
            reader = _told_reader(job, tokenizer, console)
    code = 0
    for entry in [*trained, *held]:
        report = checked(job, entry, reader, against=held if entry in trained else [])
        console.print(render_check(report))
        if reader is None:
            console.print(uncounted)
        console.print()
        if not report.usable or (job.data.strict and report.usable < report.rows):
            code = 1
    return code


def preview(job: Job, rows: int) -> int:
    """Show the first rows of every data set of the job as the model sees them."""
    if not job.model.model_name_or_path:
        raise UserError(
            "A preview shows tokens, and those are the model's.",
            hint="Add model_name_or_path=…, a hub id, a folder or a GGUF file.",
            field="model_name_or_path",
        )
    console = _console()
    trained, held = _entries(job)
    reader = _told_reader(job, _tokenizer(job.model), console)
    for entry in [*trained, *held]:
        for row in preview_rows(
            entry,
            stage=job.objective.stage,
            cache_dir=cache_folder(),
            encoder=reader.encoder(job, job.data.cutoff_len),
            tokenizer=reader.tokenizer,
            placeholders=job.data.placeholders,
            count=rows,
        ):
            console.print(render_preview(row))
            console.print()
    return 0


def _entries(job: Job) -> tuple[list[DatasetEntry], list[DatasetEntry]]:
    """The data sets to train and to evaluate on."""
    data = job.data
    trained = resolve(data.dataset, data.dataset_dir, hub=job.model.hub_name)
    held = resolve(data.eval_dataset, data.dataset_dir, key="eval_dataset", hub=job.model.hub_name)
    if not trained and not held:
        raise UserError(
            "No data set is named.",
            hint="Give a name of dataset_info.json or a file: tunesmith data check mine.jsonl",
            field="dataset",
        )
    return trained, held


def checked(
    job: Job,
    entry: DatasetEntry,
    reader: TextReader | None,
    against: list[DatasetEntry],
    before_batch: Callable[[], None] = lambda: None,
) -> CheckReport:
    return check_dataset(
        entry,
        stage=job.objective.stage,
        cache_dir=cache_folder(),
        placeholders=job.data.placeholders,
        encoder=None if reader is None else reader.encoder(job, None),
        cutoff=job.data.cutoff_len,
        against=against,
        max_samples=job.data.max_samples,
        before_batch=before_batch,
    )


def _told_reader(job: Job, tokenizer: Tokenizer, console: Console) -> TextReader:
    reader = _reader(job, tokenizer)
    for note in reader.notes:
        console.print(Text(translated(note), "yellow"))
    return reader


def text_reader(job: Job) -> TextReader:
    """The tokenizer of the job's model and the template the job would train with."""
    return _reader(job, _tokenizer(job.model))


def _reader(job: Job, tokenizer: Tokenizer) -> TextReader:
    if job.objective.stage == "pt":
        return TextReader(tokenizer, None)
    chosen = template_for(job.data, tokenizer)
    return TextReader(tokenizer, chosen.template, tuple(chosen.notes))


def _tokenizer(model: ModelConfig) -> Tokenizer:
    """The model's tokenizer. Of a model on a hub the small files are fetched, never the weights."""
    adds = bool(model.add_tokens or model.add_special_tokens)
    folder = Path(model.model_name_or_path).expanduser()
    if adds or not (folder / "tokenizer.json").is_file():
        located = locate(replace(model, train_from_scratch=True))
        folder = located.path
        if adds or not (folder / "tokenizer.json").is_file():
            from tunesmith.models.vocabulary import prepare_vocabulary

            folder = prepare_vocabulary(model, located, cache_folder()).folder
    return Tokenizer.load(folder, split_special_tokens=model.split_special_tokens, words=model.add_tokens)


def _console() -> Console:
    """Colours on a terminal only; in a pipe, lines that are not cut at 80 columns."""
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    return Console(width=width, highlight=False, emoji=False, soft_wrap=True)
