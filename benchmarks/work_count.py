"""The arithmetic that a LoRA step can't do without, and the speed this machine can do arithmetic at."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models import Shape

PEAK = Path(__file__).parent / "drivers" / "matmul_peak.py"


def step_flops(shape: Shape, lengths: np.ndarray, trained: np.ndarray, *, rank: int) -> float:
    """Floating-point operations of a LoRA step: `lengths` int[rows] tokens, `trained` int[rows] positions with a loss.

    A product with frozen weights is done twice (forward, and backward to its input), one with adapter weights three
    times. Attention is counted causal and within rows, the output layer at trained positions only. Padding, recomputed
    activations and logits that no loss looks at are not counted: a tool that does them has a lower share of the peak.
    """
    query, key_value = shape.heads * shape.head_size, shape.key_value_heads * shape.head_size
    sizes = [
        (shape.hidden, query),
        (shape.hidden, key_value),
        (shape.hidden, key_value),
        (query, shape.hidden),
        (shape.hidden, shape.intermediate),
        (shape.hidden, shape.intermediate),
        (shape.intermediate, shape.hidden),
    ]
    frozen = sum(rows * columns for rows, columns in sizes)
    adapter = sum(rank * (rows + columns) for rows, columns in sizes)
    tokens = float(lengths.sum())
    linear = shape.layers * tokens * (2 * 2 * frozen + 3 * 2 * adapter)
    attention = shape.layers * 3 * 2 * 2 * query * float((lengths.astype(float) ** 2).sum()) / 2
    head = 2 * 2 * shape.hidden * shape.vocabulary * float(trained.sum())
    return linear + attention + head


def matmul_peaks(threads: Sequence[int]) -> dict[str, dict[int, float]]:
    """GFLOP/s of a 2048³ matrix product by number format and thread count, the best of several."""
    peaks: dict[str, dict[int, float]] = {}
    for count in threads:
        environment = {**os.environ, "OMP_NUM_THREADS": str(count)}
        command = [sys.executable, PEAK]
        answer = subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8")
        for name, value in json.loads(answer.stdout).items():
            peaks.setdefault(name, {})[count] = value
    return peaks
