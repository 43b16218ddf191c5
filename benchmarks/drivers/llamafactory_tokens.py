"""Run inside llamafactory's environment: preprocess a data set with its get_dataset, time that call, save the ids.

Usage: llamafactory_tokens.py SETTINGS.json OUT.npz; prints one JSON line of figures.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer


def main(settings: str, out: str) -> None:
    model, data, training, _, _ = get_train_args(json.loads(Path(settings).read_text(encoding="utf-8")))
    module = load_tokenizer(model)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data)

    started, cpu = time.perf_counter(), time.process_time()
    train = get_dataset(template, model, data, training, stage="sft", **module)["train_dataset"]
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = peak_mib()

    columns = train.with_format("numpy")
    ids = [np.asarray(row, np.int32) for row in columns["input_ids"]]
    labels = [np.asarray(row, np.int32) for row in columns["labels"]]
    np.savez(out, ids=np.concatenate(ids), labels=np.concatenate(labels), lengths=[len(row) for row in ids])
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mib": peak, "rows": len(ids)}))


def peak_mib() -> float:
    """This process's peak resident memory so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(*sys.argv[1:])
