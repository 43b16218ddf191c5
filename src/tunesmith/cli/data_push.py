"""`tunesmith data push`: a registered data set goes to a hub."""

from __future__ import annotations

from tunesmith.cli.asked import wants_help
from tunesmith.cli.flags import Flags
from tunesmith.i18n import tr

HELP = """\
tunesmith data push NAME OWNER/REPOSITORY  [--public] [--modelscope] [--dataset-dir data]

Uploads a data set with its entry of dataset_info.json to Hugging Face's hub, or to ModelScope with --modelscope or
USE_MODELSCOPE_HUB=1. A repository that is new is private, unless --public is given. Others train on it with
dataset_dir=REMOTE:OWNER/REPOSITORY. Log in with `hf auth login` or HF_TOKEN (ModelScope: MODELSCOPE_API_TOKEN)."""


def run(arguments: list[str]) -> int:
    if wants_help(arguments) or not arguments:
        print(tr(HELP))
        return 0 if arguments else 2
    flags = Flags("data push")
    flags.add_argument("name")
    flags.add_argument("repository")
    flags.add_argument("--public", action="store_true")
    flags.add_argument("--modelscope", action="store_true")
    flags.add_argument("--dataset-dir", "--dataset_dir", default="data")
    given = flags.parse_args(arguments)
    from tunesmith.authoring.hub import push

    address = push(given.name, given.repository, given.dataset_dir, public=given.public, modelscope=given.modelscope)
    print(tr("Uploaded: {address}").format(address=address))
    return 0
