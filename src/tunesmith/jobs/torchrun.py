"""torchrun, with its report on failed workers cut down to what the workers have not said themselves.

Run as `python -m tunesmith.jobs.torchrun OPTIONS`, the options being torchrun's own.
"""

from __future__ import annotations

import logging
import signal
import sys


def main() -> int:
    """Exit code of the first worker that failed; 1 where a signal ended it."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run(parse_args(sys.argv[1:]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:  # it has said why
            return int(failure.exitcode)
        name = signal.Signals(-failure.exitcode).name
        print(f"The process of rank {rank} was ended by the signal {name}.", file=sys.stderr)
        return 1
    except SignalException as ended:
        return 128 + int(ended.sigval)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
