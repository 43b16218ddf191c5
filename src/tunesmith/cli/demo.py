"""`tunesmith demo`: fine-tune a small model that comes with the installation, and see what it learned."""

from __future__ import annotations

from pathlib import Path

from tunesmith.cli.options import Options
from tunesmith.i18n import tr


def run(arguments: list[str]) -> int:
    parser = Options(
        prog="tunesmith demo",
        description=tr(
            "Teaches a small language model its name and its maker in a few minutes, then asks it the same questions "
            "before and after. Nothing is downloaded."
        ),
    )
    parser.add_argument("--name", default="Tuna", help=tr("what the model shall call itself (Tuna)"))
    parser.add_argument("--author", default="the Tunesmith demo", help=tr("who shall have made it"))
    parser.add_argument("--folder", type=Path, default=Path("demo"), help=tr("where everything is put (demo)"))
    options = parser.parse_args(arguments)
    from tunesmith.jobs import demo

    demo.run(name=options.name, author=options.author, folder=options.folder)
    return 0
