"""Run inside Tunesmith's environment: preprocess a data set with its prepare, time that call, save ids and labels.

Usage: tunesmith_tokens.py SETTINGS.json OUT.npz; prints one JSON line of figures.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from tunesmith.config.load import load_job
from tunesmith.data.prepare import prepare
from tunesmith.models.locate import locate
from tunesmith.text.template import choose_template
from tunesmith.text.tokenizer import Tokenizer

IGNORED = -100


def main(settings: str, out: str) -> None:
    job = load_job([Path(settings)], {}).job
    tokenizer = Tokenizer.load(locate(job.model).path)
    template = choose_template(job.data.template, tokenizer).template

    started, cpu = time.perf_counter(), time.process_time()
    prepared = prepare(job.data, job.objective, tokenizer, template, seed=job.training.seed,
                       cache_dir=Path(os.environ["TUNESMITH_CACHE"]))  # fmt: skip
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = peak_mib()

    train = prepared.train
    ids = [train.ids(row) for row in range(len(train))]
    labels = [np.where(train.weights(row) != 0, train.ids(row), IGNORED).astype(np.int32) for row in range(len(train))]
    np.savez(out, ids=np.concatenate(ids), labels=np.concatenate(labels), lengths=[len(row) for row in ids])
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mib": peak, "rows": len(ids)}))


def peak_mib() -> float:
    """This process's peak resident memory so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(*sys.argv[1:])
