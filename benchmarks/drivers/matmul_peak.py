"""Print the GFLOP/s of a 2048×2048×2048 matrix product in bf16 and fp32 as JSON, the best of ten after a warm-up."""

import json
import time

import torch

SIDE = 2048


def gflops(dtype: torch.dtype) -> float:
    left, right = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    out = torch.empty(SIDE, SIDE, dtype=dtype)
    seconds = []
    for _ in range(12):
        started = time.perf_counter()
        torch.mm(left, right, out=out)
        seconds.append(time.perf_counter() - started)
    return 2 * SIDE**3 / min(seconds[2:]) / 1e9


print(json.dumps({"bf16": gflops(torch.bfloat16), "fp32": gflops(torch.float32)}))
