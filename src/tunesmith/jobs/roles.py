"""`data roles`: one character's dialogue as a data set; a model is asked only about lines that name nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tunesmith.authoring.asking import Tally, ask_all
from tunesmith.authoring.dialogue.script import plain_name
from tunesmith.authoring.document import find_documents, read_document, shown_path
from tunesmith.authoring.holdout import validation_groups
from tunesmith.authoring.options import RolesOptions
from tunesmith.authoring.prompting import Prompts
from tunesmith.authoring.publish import Published, publish, refuse_existing, target
from tunesmith.authoring.roles import (
    Spoken,
    is_role,
    must_be_dialogue,
    must_speak,
    read_dialogue,
    rows,
    speakers,
    with_speakers,
)
from tunesmith.authoring.rows import Row
from tunesmith.authoring.speakers import Unnamed, told, unnamed
from tunesmith.errors import UserError
from tunesmith.i18n import plural, tr, trn
from tunesmith.jobs.answering import opened, who
from tunesmith.jobs.asking import Watch, at_work, run_directory
from tunesmith.jobs.held_back import OwnFiles, held_back_file, lines_beside
from tunesmith.jobs.opened import terminal
from tunesmith.jobs.published import show

Say = Callable[[str], None]


def extract(sources: Sequence[Path], options: RolesOptions) -> int:
    """Make the data set. KeyboardInterrupt after Ctrl-C, when what there is has been written."""
    prompts = Prompts(Path(options.prompts).expanduser() if options.prompts else None)
    console = terminal()

    def say(text: str) -> None:
        console.print(text, markup=False)

    options = replace(options, role=tuple(plain_name(name) or name for name in options.role))
    found = _read(sources, options, say)
    must_speak(found, options)
    _tell_found(found, options, say)
    if options.dry_run:
        say(tr("Nothing was asked, nothing was written."))
        return 0
    own = OwnFiles(run_directory(options), "data roles")
    for name in _names(options):
        target(name, options.dataset_dir, options.type, replace=options.replace, own=own)
    refuse_existing(held_back_file(options.out, options.dataset_dir), replace=options.replace, own=own)
    asks = bool(options.model or options.base_url)
    done: list[Published] = []
    try:
        with _asked(found, sources, options, prompts, own) if asks else _as_it_is(found) as known:
            done = _publish(known, options, prompts, own, say)
    except KeyboardInterrupt:
        if done:
            show(*done)
        raise
    return show(*done)


def list_speakers(sources: Sequence[Path], options: RolesOptions) -> int:
    """Tell who speaks in the documents, those who speak most first."""
    console = terminal()

    def say(text: str) -> None:
        console.print(text, markup=False)

    counts = speakers_in(sources, options, say)
    say(tr("Those who speak, with their lines:"))
    for name, count in counts.most_common():
        say(f"{count:>8,}  {name}")
    say(tr("Take one, with its aliases: --role NAME,ALIAS --out NAME"))
    return 0


def speakers_in(
    sources: Sequence[Path], options: RolesOptions, say: Say, before_passage: Callable[[], None] = lambda: None
) -> Counter[str]:
    """Who speaks in the documents, with the number of their lines. UserError where nobody does."""
    counts = speakers(_read(sources, options, say, before_passage))
    must_be_dialogue(counts)
    return counts


def _names(options: RolesOptions) -> list[str]:
    return [options.out, f"{options.out}_val"][: 1 + bool(options.val_size)]


def _read(
    sources: Sequence[Path], options: RolesOptions, say: Say, before_passage: Callable[[], None] = lambda: None
) -> list[Spoken]:
    """The dialogue of all documents; what can't be read is told, and the rest goes on."""
    documents = find_documents(sources)
    for skipped in documents.skipped:
        say(tr("left out: {what}").format(what=skipped))
    found = []
    for path in documents.documents:
        try:
            document = read_document(path, before_passage)
        except UserError as error:
            if len(documents.documents) == 1:
                raise
            say(tr("left out: {what}").format(what=error))
            continue
        for note in document.notes:
            say(note if path.name in note else f"{path}: {note}")
        found.append(read_dialogue(document, shown_path(path, sources), options))
    return found


def _tell_found(found: Sequence[Spoken], options: RolesOptions, say: Say) -> None:
    for each in found:
        spoken = sum(is_role(line.speaker, options) for line in each.lines)
        kinds = Counter(line.attribution for line in each.lines)
        kind = tr("script") if each.script else tr("novel")
        say(
            tr("{path}: {kind}, {lines}, {own} of {role}; speakers {named} named, {turn} by turn, {none} unknown")
            .format(
                path=each.path, kind=kind, own=spoken, role=options.role[0],
                lines=trn("{count:,} line", "{count:,} lines", len(each.lines)),
                named=kinds["named"], turn=kinds["turn"], none=kinds[""],
            )
        )  # fmt: skip


@contextmanager
def _as_it_is(found: list[Spoken]) -> Iterator[list[Spoken]]:
    yield found


@contextmanager
def _asked(
    found: list[Spoken], sources: Sequence[Path], options: RolesOptions, prompts: Prompts, own: OwnFiles
) -> Iterator[list[Spoken]]:
    """The dialogue with what a model tells of lines without a name; a run of its own, as its answers cost money."""
    model, place = who(options)
    with at_work("data roles", sources, options, terminal()) as watch:
        own.run, journal = watch.run, watch.journal
        asked = [list(unnamed(each, options, prompts)) for each in found]
        every = [each for group in asked for each in group]
        watch.say(lambda: _announced(every, model, place.shown if place else tr("this machine")))
        tally = asyncio.run(_ask(every, options, watch))
        known = []
        for each, group in zip(found, asked, strict=True):
            names: dict[int, str] = {}
            for question in group:
                answer = journal.answer(question.question.id(model))
                if answer is not None and answer.state == "answered":
                    names |= told(question, answer.value)
            known.append(with_speakers(each, names))
        yield known
        watch.run.event("published", names=_names(options))
        if failed := tally.failed + tally.known_failed:
            watch.say(
                plural(
                    "{count:,} question failed; --retry-failed asks it again.",
                    "{count:,} questions failed; --retry-failed asks them again.", failed,
                )
            )  # fmt: skip
        watch.say(lambda: watch.told(journal.spent()))


def _announced(asked: Sequence[Unnamed], model: str, place: str) -> str:
    lines = trn("{count:,} line", "{count:,} lines", sum(len(each.numbers) for each in asked))
    questions = trn("{count:,} question", "{count:,} questions", len(asked))
    about = tr(" about {lines} in {questions}").format(lines=lines, questions=questions)
    return tr("asking {model} at {place}").format(model=model, place=place) + about


async def _ask(asked: list[Unnamed], options: RolesOptions, watch: Watch) -> Tally:
    poll = asyncio.create_task(watch.poll())
    try:
        async with opened(options, watch.stop, watch.trouble, watch.writing) as model:
            with watch.asking("asking", len(asked)) as report:
                return await ask_all(
                    (each.question for each in asked),
                    model,
                    watch.journal,
                    concurrency=options.concurrency,
                    stop=watch.stop,
                    retry_failed=options.retry_failed,
                    report=report,
                )
    finally:
        poll.cancel()


def _publish(found: list[Spoken], options: RolesOptions, prompts: Prompts, own: OwnFiles, say: Say) -> list[Published]:
    beside = held_back_file(options.out, options.dataset_dir)
    reasons: Counter[str] = Counter()
    with lines_beside(beside, own, replace=options.replace) as write:

        def rejected(row: Row) -> None:
            reasons[row["reason"]] += 1
            write(row)

        made = [row for each in found for row in rows(each, options, prompts, rejected)]
    if not made:
        raise UserError("No row came of it.", hint=f"{beside} tells why; a larger --gap may help.")
    train, held = _sides(made, options)
    if options.val_size and not held:
        say(
            tr("No validation set: all rows hang together, and what hangs together stays on one side. More text helps.")
        )
    done: list[Published] = []
    for name, side in zip(_names(options), (train, held), strict=False):
        if side:
            done.append(
                publish(side, name, options.dataset_dir, options.format, options.type, replace=options.replace, own=own)
            )
            counted = trn("{count:,} row", "{count:,} rows", done[-1].rows)
            told = tr("{rows} in {file}, registered as {name}")
            say(told.format(rows=counted, file=done[-1].path, name=name))
    if reasons:
        kinds = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        say(tr("held back: {kinds} (in {file})").format(kinds=kinds, file=beside))
    return done


def _scene_of(row: Row) -> str:
    """What a split must not cut: a chapter or scene of a document."""
    return f"{row['source']}\n{row['source_heading']}\n{row['scene']}"


def _sides(made: Sequence[Row], options: RolesOptions) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows to validate by, parted between scenes, or, where there is only one, within it."""
    groups = list(map(_scene_of, made))
    if len(set(groups)) < 2:
        groups = _passages(made)
    apart = validation_groups(Counter(groups), options.val_size, options.seed) if options.val_size else set()
    sides: tuple[list[Row], list[Row]] = ([], [])
    for row, group in zip(made, groups, strict=True):
        sides[group in apart].append(row)
    return sides


def _passages(made: Sequence[Row]) -> list[str]:
    """For each row of one scene the passage that it is of; rows that show some of the same lines are of one."""
    found: list[str] = []
    start = end = -1
    for row in made:
        if row["source_start"] >= end:
            start = row["source_start"]
        end = max(end, row["source_end"])
        found.append(str(start))
    return found
