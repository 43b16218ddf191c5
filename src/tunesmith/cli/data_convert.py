"""`tunesmith data convert`: tables, documents and data sets of any format become one registered data set."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tunesmith.cli.asked import wants_help
from tunesmith.cli.data_options import must_be_named, read_arguments, table
from tunesmith.i18n import tr, translated, trn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tunesmith.authoring.convert import Converted, Plan
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

--instruction and --output may be given several times, for several rows of each row of a table; --sheet too.
Rows that can't be used are left out with their reason, and lie beside the data set in NAME.rejected.jsonl.
"""


def run(arguments: list[str]) -> int:
    from tunesmith.authoring.options import ConvertSettings

    if wants_help(arguments) or not arguments:
        print(f"{tr(HELP)}\n{table(ConvertSettings)}")
        return 0 if arguments else 2
    sources, given = read_arguments(arguments, ConvertSettings, "convert")
    must_be_named(given)
    from tunesmith.authoring.convert import ConvertOptions, convert, plan

    options = ConvertOptions.of(given)
    made = plan([str(source) for source in sources], options)
    _tell_plan(made)
    if given.dry_run:
        _tell_dry(made)
        _tell_skipped(made.skipped)
        return 0
    with _progress() as tell:
        done = convert(made, options, tell)
    _tell_done(done)
    from tunesmith.jobs import published

    return published.show(done.published, model=given.model or None, template=given.template or None)


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
