"""`data make`: from documents to a data set that a model wrote, as a run that can be watched and gone on with."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.authoring.asking import Tally
from tunesmith.authoring.decisions import Decisions
from tunesmith.authoring.document import find_documents
from tunesmith.authoring.journal import Journal
from tunesmith.authoring.make import Estimate, ask_chunks, ask_judge, estimate, plan, to_judge
from tunesmith.authoring.options import MakeOptions
from tunesmith.authoring.prompting import LANGUAGES, Prompts
from tunesmith.authoring.publish import Published, refuse_existing, target
from tunesmith.errors import UserError
from tunesmith.i18n import in_english, plural, tr, translated, trn
from tunesmith.jobs.answering import counter, opened, who
from tunesmith.jobs.asking import Watch, at_work, now_and_then, run_directory, write_report
from tunesmith.jobs.held_back import OwnFiles, held_back_file
from tunesmith.jobs.made import write_rows
from tunesmith.jobs.opened import terminal
from tunesmith.jobs.published import show

_KINDS = {
    "empty": "placeholder",
    "refusal": "declined to answer",
    "refers to the text": "not clear alone",
    "language": "other language",
    "evidence": "misquoted",
    "grounding": "not from the text",
    "duplicate": "repeated",
    "judge": "low score",
    "by hand": "rejected by hand",
}
"""What is told of kinds of reasons whose names don't tell themselves."""


def make(sources: Sequence[Path], options: MakeOptions) -> int:
    """Make the data set. KeyboardInterrupt after Ctrl-C, when what there is has been written."""
    prompts = _checked(options)
    console = terminal()
    name, place = who(options)
    own = OwnFiles(run_directory(options), "data make")
    for part in (options.out, f"{options.out}_val")[: 1 + bool(options.val_size)]:
        target(part, options.dataset_dir, options.type, replace=options.replace, own=own)
    refuse_existing(held_back_file(options.out, options.dataset_dir), replace=options.replace, own=own)
    found = find_documents(sources)
    count = counter(options.tokenizer)
    done: tuple[Published, ...] = ()
    try:
        with at_work("data make", sources, options, console) as watch:
            own.run, journal = watch.run, watch.journal
            watch.run.add_environment(asked_model=name)
            say = watch.say
            documents = plan(found, sources, journal, options, prompts, name, count, say, now_and_then(say))
            decisions = Decisions.read(watch.run.layout.decisions)
            expected = estimate(journal, documents, options, prompts, name, decisions)
            say(lambda: _announced(expected, name, place.shown if place else tr("this machine")))
            say(lambda: "\n".join(_estimated(expected, options)))
            began = time.monotonic()
            tally = asyncio.run(_ask(options, prompts, watch))
            done = _publish(options, name, watch, tally, time.monotonic() - began, own)
    except KeyboardInterrupt:
        if done:
            show(*done)
        raise
    return show(*done) if done else 1


def preview(sources: Sequence[Path], options: MakeOptions) -> int:
    """Tell chunks, tokens and money; nothing is asked or written."""
    prompts = _checked(options)
    console = terminal()
    name = options.model
    try:
        name, _ = who(options)
    except UserError as error:  # what it will take can be told without a model
        console.print(f"{tr('note')}  {translated(error.message)}", markup=False)
    layout = run_directory(options)
    kept = layout.journal
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as folder:
        if kept.is_file():
            with Journal(kept) as earlier:
                earlier.copy(Path(folder) / kept.name)
        with Journal(Path(folder) / kept.name) as journal:
            note: Callable[[str], None] = lambda text: console.print(translated(text), markup=False)  # noqa: E731
            count = counter(options.tokenizer)
            found, beat = find_documents(sources), now_and_then(note)
            documents = plan(found, sources, journal, options, prompts, name, count, note, beat)
            expected = estimate(journal, documents, options, prompts, name, Decisions.read(layout.decisions))
    console.print(_chunks_told(expected), markup=False)
    for line in _estimated(expected, options):
        console.print(line, markup=False)
    console.print(tr("Nothing was asked, nothing was written."), style="dim")
    return 0


def _checked(options: MakeOptions) -> Prompts:
    """The prompts, once all that needs no document has been looked at."""
    prompts = Prompts(Path(options.prompts).expanduser() if options.prompts else None)
    for language in LANGUAGES:
        prompts.styles(language, options.styles)
    return prompts


async def _ask(options: MakeOptions, prompts: Prompts, watch: Watch) -> Tally:
    """Both rounds of questions; returns the tally of the first."""
    journal = watch.journal
    poll = asyncio.create_task(watch.poll())
    try:
        async with opened(options, watch.stop, watch.trouble, watch.writing) as model:
            with watch.asking("asking", journal.chunks()) as report:
                tally = await ask_chunks(journal, options, prompts, model, watch.stop, report)
            if options.judge and not watch.stop.ending:
                decisions = Decisions.read(watch.run.layout.decisions)
                total = sum(1 for _ in to_judge(journal, options, prompts, model.name, decisions))
                with watch.asking("judging", total) as report:
                    await ask_judge(journal, options, prompts, model, decisions, watch.stop, report)
            return tally
    finally:
        poll.cancel()


def _publish(
    options: MakeOptions, model: str, watch: Watch, tally: Tally, seconds: float, own: OwnFiles
) -> tuple[Published, ...]:
    """Write the rows, and beside them those that were held back, and tell all. Nothing where there are none yet."""
    run, journal = watch.run, watch.journal
    written = write_rows(run.layout, journal, options, model, own, replace=options.replace)
    failed = tally.failed + tally.known_failed
    if not written.sets:
        if watch.interrupted:
            watch.say("Nothing was answered yet, so nothing was written.")
            return ()
        lost = plural("{count:,} question failed", "{count:,} questions failed", failed)
        held = plural("{count:,} row was held back", "{count:,} rows were held back", sum(written.held_back.values()))
        with in_english():
            kinds = kinds_told(written.held_back)
        why = (
            f"Held back: {kinds}." if written.stays else f"{written.beside} tells why.",
            "The data set that was made before stays as it is." if written.stays else "",
        )
        raise UserError(
            f"No row came of it: {lost}, {held}.", hint=" ".join(part for part in (failed_hint(journal), *why) if part)
        )
    run.event("published", names=[each.name for each in written.sets])
    spent = journal.spent()
    report = {
        **written.facts(),
        "chunks": journal.chunks(),
        "chunks_failed": failed,
        "chunks_open": journal.chunks() - tally.done,
        "model": model,
        **asdict(spent),
        **watch.cost(spent),
        "seconds": round(seconds, 1),
    }
    write_report(run, report)
    watch.say(lambda: "\n".join(report_lines(report, journal, watch.told(spent))))
    validation = written.sets[0].path.with_stem(f"{options.out}_val")
    if len(written.sets) == 1 and validation.exists() and own.wrote(validation):
        name = options.out
        watch.say(
            f"{name}_val was kept apart before, and its rows are in {name} now. Give --val-size again, or remove it."
        )
    if len(written.sets) == 1 and options.val_size:
        watch.say(
            "No validation set: all rows are about one chunk, and rows of one chunk stay together."
            " Smaller --chunk-tokens make more of it."
        )
    if len(written.sets) > 1 and written.by_chunk:
        watch.say("There is only one document, so validation rows are those of chunks that are not trained on.")
    return written.sets


def report_lines(report: dict[str, Any], journal: Journal, spent: str) -> Iterator[str]:
    """The report in words."""
    for (name, rows), file in zip(report["rows"].items(), report["files"], strict=True):
        yield tr("{rows} in {file}, registered as {name}").format(
            rows=trn("{count:,} row", "{count:,} rows", rows), file=file, name=name
        )
    if report["rejected"]:
        yield tr("held back: {kinds} (each with its reason in {file})").format(
            kinds=kinds_told(report["rejected"]), file=report["rejected_file"]
        )
    if failed := report["chunks_failed"]:
        told = trn(
            "{count:,} chunk failed; --retry-failed asks it again.",
            "{count:,} chunks failed; --retry-failed asks them again.", failed,
        )  # fmt: skip
        where = tr("Which and why: {file}.").format(file=report["rejected_file"])
        yield f"{told} {where} {translated(failed_hint(journal))}"
    if left := report["chunks_open"]:
        yield trn(
            "{count:,} chunk was not asked about; the same command goes on.",
            "{count:,} chunks were not asked about; the same command goes on.", left,
        )  # fmt: skip
    yield f"{trn('{count:,} answer', '{count:,} answers', report['calls'])}, {spent}"


def kinds_told(counts: Mapping[str, int]) -> str:
    """Why rows are held back, in words, the commonest first."""
    common = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{tr(_KINDS.get(kind, kind))} {count:,}" for kind, count in common)


def failed_hint(journal: Journal) -> str:
    """The commonest reason of questions that failed."""
    reason = next(iter(journal.failures()), "")
    return f"Most often: {reason}." if reason else ""


def _announced(expected: Estimate, model: str, place: str) -> str:
    return f"{_chunks_told(expected)}; " + tr("asking {model} at {place}").format(model=model, place=place)


def _chunks_told(expected: Estimate) -> str:
    documents = trn("{count:,} document", "{count:,} documents", expected.documents)
    told = f"{documents}, {trn('{count:,} chunk', '{count:,} chunks', expected.chunks)}"
    if expected.questions == expected.chunks:
        return told
    return told + tr(", {count} of them still to be asked about").format(count=expected.questions)


def _estimated(expected: Estimate, options: MakeOptions) -> Iterator[str]:
    yield tr("about {prompt:,} prompt tokens and {answers:,} tokens of answers").format(
        prompt=expected.prompt_tokens, answers=expected.completion_tokens
    )
    if options.price_in or options.price_out:
        yield tr("about {money:,.4f} at the given prices").format(money=expected.money(options))
