"""From the columns of a table to question and answer: templates over columns, or a guess by the headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.headers import column_for
from tunesmith.errors import UserError, did_you_mean
from tunesmith.text.rows import RowError

PARTS = ("instruction", "input", "output", "system")
_FIELD = re.compile(r"(?<!\{)\{([^{}]+)\}(?!\})")  # {{name}} is a placeholder that is filled when training


@dataclass(frozen=True, slots=True)
class Template:
    """Text with {column} in it, or the bare name of a column."""

    text: str
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, columns: Sequence[str], field: str) -> Template:
        """UserError where it names a column that is not there."""
        if text in columns:
            return cls(f"{{{text}}}", (text,))
        named = tuple(dict.fromkeys(_FIELD.findall(text)))
        for name in named:
            if name not in columns:
                raise _no_column(name, columns, field)
        if not named and did_you_mean(text, columns):
            raise _no_column(text, columns, field)
        return cls(text, named)

    def fill(self, row: Mapping[str, Any], *, complete: bool) -> str:
        """The text for a row. complete: RowError where a column that it names is empty."""
        values = {name: _cell(row.get(name)) for name in self.columns}
        empty = [name for name, value in values.items() if not value]
        if empty and (complete or len(empty) == len(self.columns)):
            if complete:
                raise RowError(f"column '{empty[0]}' is empty")
            return ""
        return _FIELD.sub(lambda match: values[match[1]], self.text)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """What becomes question and answer of a row. guessed: by the headers, not told."""

    instruction: Template
    output: Template
    input: Template | None = None
    system: Template | None = None
    guessed: bool = False

    def lines(self) -> list[str]:
        """One line for each part: its name and the template."""
        parts = (("instruction", self.instruction), ("input", self.input), ("output", self.output))
        return [f"{name}: {part.text}" for name, part in (*parts, ("system", self.system)) if part is not None]

    def row(self, cells: Mapping[str, Any]) -> dict[str, str]:
        """An alpaca row; RowError where question or answer are empty."""
        row = {
            "instruction": self.instruction.fill(cells, complete=True),
            "input": self.input.fill(cells, complete=False) if self.input else "",
            "output": self.output.fill(cells, complete=True),
        }
        if self.system and (system := self.system.fill(cells, complete=False)):
            row["system"] = system
        return row

    def columns(self, part: str) -> tuple[str, ...]:
        """The columns that a part is made of."""
        template: Template | None = getattr(self, part)
        return template.columns if template is not None else ()

    def used(self) -> set[str]:
        return {name for part in PARTS for name in self.columns(part)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Templates as the user gave them; several instructions make as many rows of each row of the table."""

    instructions: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    input: str | None = None
    system: str | None = None

    def guess(self, columns: Sequence[str]) -> dict[str, str]:
        """The columns that the headers give to question, answer and what goes with them; {} where something is told."""
        found = {part: column_for(part, columns) for part in PARTS}
        return {} if self.given else {part: name for part, name in found.items() if name is not None}

    @property
    def given(self) -> bool:
        return bool(self.instructions or self.outputs)

    def mappings(self, columns: Sequence[str], where: str) -> list[ColumnMapping]:
        """The mappings for a table; what was not given is guessed. UserError where it can't be."""
        if len(self.outputs) > 1 and len(self.outputs) != len(self.instructions):
            raise UserError(
                f"--instruction is given {len(self.instructions)} times and --output {len(self.outputs)} times.",
                hint="Give one --output for each --instruction, or one for all.",
                field="output",
            )
        instructions = self.instructions or _guessed("instruction", columns, where)
        outputs = self.outputs or _guessed("output", columns, where)
        outputs = outputs * len(instructions) if len(outputs) == 1 else outputs
        inner = self.input if self.input is not None else None if self.given else column_for("input", columns)
        system = self.system if self.system is not None else None if self.given else column_for("system", columns)
        mappings = [
            ColumnMapping(
                Template.parse(instruction, columns, "instruction"),
                Template.parse(output, columns, "output"),
                None if inner is None else Template.parse(inner, columns, "input"),
                None if system is None else Template.parse(system, columns, "system"),
                guessed=not (self.instructions and self.outputs),
            )
            for instruction, output in zip(instructions, outputs, strict=True)
        ]
        for mapping in mappings:
            _check(mapping, columns)
        return mappings


def text_column(columns: Iterable[str]) -> str | None:
    """The column that holds plain text, where its header says so."""
    return column_for("text", list(columns))


def _check(mapping: ColumnMapping, columns: Sequence[str]) -> None:
    if not mapping.output.columns:
        raise _no_column(mapping.output.text, columns, "output")
    if not mapping.instruction.columns and not (mapping.input and mapping.input.columns):
        raise UserError(
            f"--instruction {mapping.instruction.text!r} names no column: every row would ask the same.",
            hint=f"Put a column in braces: --instruction '{{{columns[0]}}}'. There are: {', '.join(columns)}.",
            field="instruction",
        )


def _guessed(part: str, columns: Sequence[str], where: str) -> tuple[str, ...]:
    found = column_for(part, columns)
    if found is None:
        first, last = columns[0], columns[-1]
        named = ", ".join(columns)
        question = f"{where}: the headers don't tell which column is the question: {named}."
        answer = f"{where}: the headers don't tell which column is the answer: {named}."
        raise UserError(
            question if part == "instruction" else answer,
            hint=f"Name them, for example: --instruction '{{{first}}}' --output '{{{last}}}'",
            field=part,
        )
    return (found,)


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _no_column(name: str, columns: Sequence[str], field: str) -> UserError:
    hint = did_you_mean(name, columns) or f"There are: {', '.join(columns)}."
    return UserError(f"--{field} names a column {name!r} that the table does not have.", hint=hint, field=field)
