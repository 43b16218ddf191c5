"""`tunesmith help KEY`: what a configuration key means; `tunesmith help COMMAND`: a command's own page."""

from __future__ import annotations

from tunesmith.cli.main import COMMANDS, dispatch


def run(arguments: list[str]) -> int:
    from tunesmith.config.describe import help_text

    words = [word for word in arguments if word not in ("-h", "--help")]
    if not words:
        return dispatch(["help"])
    for word in words:
        if word in COMMANDS and word not in ("help", "version"):
            dispatch([word, "--help"])
        else:
            print(help_text(word.lstrip("-")))
    return 0
