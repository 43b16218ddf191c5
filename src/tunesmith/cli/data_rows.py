"""`tunesmith data split` and `tunesmith data merge`."""

from __future__ import annotations

from tunesmith.cli.asked import wants_help
from tunesmith.cli.flags import Flags
from tunesmith.errors import UserError
from tunesmith.i18n import tr, trn

SPLIT_HELP = """\
tunesmith data split NAME --val-size SIZE  [--by COLUMN] [--seed 42] [--out TRAIN,VAL] [--dataset-dir data]

Writes NAME_train and NAME_val and registers them; NAME stays. Rows that ask the same stay on one side, or, with --by,
rows of one document, so that nothing that is trained on is evaluated too.

  tunesmith data split faq --val-size 0.1                a tenth of the rows
  tunesmith data split book --val-size 200 --by source   200 rows, whole documents

  --replace   replace data sets of these names"""

MERGE_HELP = """\
tunesmith data merge NAME | FILE …  --out NAME  [--to FORMAT] [--type TYPE] [--dataset-dir data]

Joins data sets into one, in their order; where their formats differ, in the nearest that holds them all (--to chooses
one). The check that follows finds what is in several of them."""


def run_split(arguments: list[str]) -> int:
    if wants_help(arguments) or not arguments:
        print(tr(SPLIT_HELP))
        return 0 if arguments else 2
    flags = Flags("data split")
    flags.add_argument("name")
    flags.add_argument("--val-size", "--val_size", type=float, required=True)
    flags.add_argument("--by")
    flags.add_argument("--seed", type=int, default=42)
    flags.add_argument("--out")
    flags.add_argument("--replace", action="store_true")
    flags.add_argument("--dataset-dir", "--dataset_dir", default="data")
    given = flags.parse_args(arguments)
    from tunesmith.authoring.splitting import split

    done = split(
        given.name, given.dataset_dir, given.val_size, by=given.by, seed=given.seed, out=_two(given.out),
        replace=given.replace,
    )  # fmt: skip
    for part in (done.train, done.held):
        print(
            tr("{name}: {rows} in {path}").format(
                name=part.name, rows=trn("{count:,} row", "{count:,} rows", part.rows), path=part.path
            )
        )
    if done.damaged:
        told = trn("{count:,} row can't be read and is in neither.", "{count:,} rows can't be read and are in neither.",
                   done.damaged)  # fmt: skip
        print(told)
    print()
    from tunesmith.jobs import published

    return published.show(done.train, done.held)


def run_merge(arguments: list[str]) -> int:
    if wants_help(arguments) or not arguments:
        print(tr(MERGE_HELP))
        return 0 if arguments else 2
    from tunesmith.cli import data_convert

    return data_convert.run(arguments)


def _two(names: str | None) -> tuple[str, str] | None:
    if names is None:
        return None
    train, mark, held = names.partition(",")
    if not (train and mark and held) or "," in held:
        raise UserError("--out takes two names, as in: --out mine_train,mine_val", field="out")
    return train, held
