"""`tunesmith data convert`: tables, documents and data sets of any format become one registered data set."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tunesmith.cli.flags import Flags
from tunesmith.cli.train import wants_help
from tunesmith.i18n import tr, translated, trn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from tunesmith.authoring.convert import Converted, ConvertOptions, Plan
    from tunesmith.authoring.document import Skipped
    from tunesmith.authoring.sources import Source

HELP = """\
tunesmith data convert FILE | FOLDER | NAME …  --out NAME [--dataset-dir data]

Makes a data set without a model: from tables (xlsx, xls, ods, csv, tsv) by their columns, from documents (docx, pptx,
pdf, html, epub, md, txt, srt, vtt, ass) by their paragraphs, from exported chats, and from data sets of other formats.

  tunesmith data convert faq.xlsx --out faq
  tunesmith data convert cards.xlsx --out cards --instruction "{Card}正位的含义？" --output "{Upright}"
  tunesmith data convert books/ --out books --mode section
  tunesmith data convert old.json --out new --to openai --type parquet

Tables
  --instruction TEXT  the question: a column, or text with {columns} in it; guessed from the headers where left out.
                      May be given several times, with as many --output, for several rows of each row
  --output TEXT       the answer, likewise
  --input TEXT        what is added to the question on a new line
  --system TEXT       the system message: a column, a text, or both
  --header N          the row that names the columns, from 1; 0 where there is none (found out)
  --sheet NAME        only this sheet of a workbook; may be given several times
  --only KIND         of sources of both kinds, questions or text
  --as-text           read tables as documents, a paragraph a row
Documents
  --mode MODE         paragraph (default), line, section (under one heading), whole, or qa (what stands after `Q:` and
                      `A:`, `问：` and `答：`)
The data set
  --to FORMAT         alpaca, sharegpt, openai or text (what the sources have; alpaca for tables)
  --type TYPE         jsonl (default), json, parquet
  --replace           replace a data set of that name
  --dry-run           show what would be made of the first rows; nothing is written
  --model MODEL       show the result as this model will see it, token by token; --template NAME with it

Rows that can't be used are left out with their reason, and lie beside the data set in NAME.rejected.jsonl."""


def run(arguments: list[str]) -> int:
    if wants_help(arguments) or not arguments:
        print(tr(HELP))
        return 0 if arguments else 2
    flags = _flags().parse_intermixed_args(arguments)
    from tunesmith.authoring.convert import convert, plan

    options = _options(flags)
    made = plan(flags.sources, options)
    _tell_plan(made)
    if flags.dry_run:
        _tell_dry(made)
        _tell_skipped(made.skipped)
        return 0
    with _progress() as tell:
        done = convert(made, options, tell)
    _tell_done(done)
    from tunesmith.jobs import published

    return published.show(done.published, model=flags.model, template=flags.template)


def _flags() -> Flags:
    from tunesmith.authoring.convert import ONLY
    from tunesmith.authoring.passages import MODES
    from tunesmith.authoring.publish import FILE_TYPES, ROW_FORMATS

    flags = Flags("data convert")
    flags.add_argument("sources", nargs="+")
    flags.add_argument("--out", required=True)
    flags.add_argument("--dataset-dir", "--dataset_dir", default="data")
    flags.add_argument("--instruction", action="append", default=[])
    flags.add_argument("--output", action="append", default=[])
    flags.add_argument("--input")
    flags.add_argument("--system")
    flags.add_argument("--header", type=int)
    flags.add_argument("--sheet", action="append", default=[])
    flags.add_argument("--as-text", action="store_true")
    flags.add_argument("--only", choices=ONLY)
    flags.add_argument("--mode", choices=MODES, default="paragraph")
    flags.add_argument("--to", choices=ROW_FORMATS)
    flags.add_argument("--type", choices=FILE_TYPES, default="jsonl")
    flags.add_argument("--replace", action="store_true")
    flags.add_argument("--dry-run", action="store_true")
    flags.add_argument("--model")
    flags.add_argument("--template")
    return flags


def _options(flags: argparse.Namespace) -> ConvertOptions:
    from tunesmith.authoring.convert import ConvertOptions
    from tunesmith.authoring.mapping import Wanted
    from tunesmith.authoring.sources import ReadingOptions

    wanted = Wanted(tuple(flags.instruction), tuple(flags.output), flags.input, flags.system)
    reading = ReadingOptions(
        wanted=wanted, mode=flags.mode, header=flags.header, sheets=tuple(flags.sheet), as_text=flags.as_text
    )
    return ConvertOptions(
        out=flags.out,
        dataset_dir=flags.dataset_dir,
        to=flags.to,
        file_type=flags.type,
        reading=reading,
        replace=flags.replace,
        only=flags.only,
    )


def _tell_plan(made: Plan) -> None:

    from tunesmith.cli.terminal import console

    out = console()
    shown = set[tuple[str, ...]]()
    for source in made.sources:
        lines = tuple(line for mapping in source.mappings for line in mapping.lines())
        if lines and lines not in shown:
            shown.add(lines)
            _tell_mapping(source)
    kinds = ", ".join(sorted({source.format for source in made.sources}))
    counted = tr("files: {files}, sources in them: {sources} ({kinds}) → {to}")
    out.print(counted.format(files=len(made.files), sources=len(made.sources), kinds=kinds, to=made.to))


def _tell_mapping(source: Source) -> None:
    """What becomes of the columns, and the first three rows with it."""
    from rich.text import Text

    from tunesmith.cli.terminal import console
    from tunesmith.text.rows import RowError

    out = console()
    how = tr("guessed from the headers") if source.mappings[0].guessed else tr("as given")
    out.print(Text(f"{source.name} ({how})", style="bold"))
    for mapping in source.mappings:
        out.print(Text("\n".join(f"  {line}" for line in mapping.lines())))
    for row in source.shown:
        for mapping in source.mappings:
            try:
                made = mapping.row(row)
            except RowError as error:
                out.print(Text(f"  ✗ {translated(error.reason)}", style="red"))
                continue
            asked = "\n".join(part for part in (made["instruction"], made["input"]) if part)
            out.print(Text.assemble(f"  {_short(asked)} ", ("→ ", "dim"), (_short(made["output"]), "green")))
    if source.mappings[0].guessed:
        out.print(Text(tr("  If that is wrong: --instruction '{column}' --output '{column}'"), style="dim"))


def _tell_dry(made: Plan) -> None:
    """The first rows of each source, as they will be written."""
    import itertools
    import json

    from rich.text import Text

    from tunesmith.authoring.convert import as_row
    from tunesmith.authoring.sources import Rejected
    from tunesmith.cli.terminal import console
    from tunesmith.text.rows import RowError

    out = console()
    for source in made.sources[:5]:
        for item in itertools.islice(source.items, 3):
            try:
                reason = item.reason if isinstance(item, Rejected) else None
                row = None if isinstance(item, Rejected) else as_row(item, made.to)
            except RowError as error:
                reason, row = error.reason, None
            text = f"{item.place}: {json.dumps(row, ensure_ascii=False, default=str)}"
            if reason is not None:
                text = f"✗ {item.place}: {translated(reason)}"
            out.print(Text(_short(text, 240)))


def _tell_done(done: Converted) -> None:
    from rich.text import Text

    from tunesmith.cli.terminal import console

    out = console()
    _tell_skipped(done.skipped)
    for note in done.notes:
        out.print(Text(f"{tr('note')}  {translated(note)}", style="yellow"))
    if done.beside is not None:
        total = sum(done.rejected.values())
        out.print(
            Text(tr("{rows} left out, see {path}:").format(
                rows=trn("{count:,} row", "{count:,} rows", total), path=done.beside), "yellow")
        )  # fmt: skip
        for reason, count in list(done.rejected.items())[:5]:
            out.print(Text(f"  {count:,} × {translated(reason)}", style="yellow"))
    made = done.published
    line = tr("{rows} in {path}, registered as {name} in {info}")
    rows = trn("{count:,} row", "{count:,} rows", made.rows)
    out.print(Text(line.format(rows=rows, path=made.path, name=made.name, info=made.info), style="bold"))
    out.print()


def _tell_skipped(skipped: Sequence[Skipped]) -> None:
    from rich.text import Text

    from tunesmith.cli.terminal import console

    for one in skipped:
        console().print(Text(translated(f"left out: {one}"), style="yellow"))


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Counts rows: on a terminal as they come, otherwise a line every ten seconds."""
    from tunesmith.cli.terminal import console

    last = time.monotonic()
    terminal = sys.stderr.isatty()
    every = 0.2 if terminal else 10.0
    text = tr("{rows}, {rejected} left out")
    with console(stderr=True).status("…") as status:

        def tell(rows: int, rejected: int) -> None:
            nonlocal last
            if time.monotonic() - last < every:
                return
            last = time.monotonic()
            line = text.format(rows=trn("{count:,} row", "{count:,} rows", rows), rejected=f"{rejected:,}")
            if terminal:
                status.update(line)
            else:
                print(line, file=sys.stderr)

        yield tell


def _short(text: str, most: int = 100) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
