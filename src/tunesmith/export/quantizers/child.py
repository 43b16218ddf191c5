"""One quantization from request to result, in the interpreter of the library that does it."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be done. calibration: token ids of samples. held_out: [token ids, weight of each] of samples that the
    loss is measured on. device: `cpu` or `auto`."""

    merged: str
    target: str
    method: str
    bits: int
    calibration: list[list[int]]
    held_out: list[tuple[list[int], list[float]]]
    device: str
    trust_remote_code: bool

    @classmethod
    def read(cls, path: Path) -> Request:
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{field.name: found[field.name] for field in fields(cls)})

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @property
    def place(self) -> str:
        """A device for torch."""
        import torch

        return "cuda" if self.device == "auto" and torch.cuda.is_available() else "cpu"


Quantize = Callable[[Request], None]
Load = Callable[[str, Request], Any]


def load(folder: str, request: Request) -> Any:
    """The model of a folder as transformers has it, its weights as they lie there."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", device_map=request.place, trust_remote_code=request.trust_remote_code
    )
    return model.eval()


def skeleton(request: Request) -> Any:
    """The merged model without its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(request.merged, trust_remote_code=request.trust_remote_code)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=request.trust_remote_code)


def serve(package: str, quantize: Quantize, reload: Load = load) -> int:
    """Do what the file named on the command line asks for, and tell of it in lines of JSON on standard output.

    The result is loaded again from its files: what counts is what somebody else will load.
    """
    tell = _own_output()
    request = Request.read(Path(sys.argv[1]))
    try:
        tell(stage="measuring the merged model")
        reference = mean_loss(load(request.merged, request), request.held_out)
        gc.collect()  # a model is full of cycles, and the next one needs the room
        tell(stage=f"quantizing with {package}")
        quantize(request)
        gc.collect()
        tell(stage="measuring the quantized model")
        loss = mean_loss(reload(request.target, request), request.held_out)
    except UserError as error:
        tell(error=error.message, hint=error.hint)
        return 1
    tell(version=version(package), loss=loss, reference_loss=reference)
    return 0


def _own_output() -> Callable[..., None]:
    """Standard output for us alone; what libraries print goes to standard error, which is kept as a log."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)

    def tell(**facts: object) -> None:
        lines.write(json.dumps(facts) + "\n")
        lines.flush()

    return tell


def mean_loss(model: Any, rows: Sequence[tuple[list[int], list[float]]]) -> float:
    """Mean loss of the weighted tokens, nats; NaN where there are none. A weight belongs to the token itself."""
    import torch

    total = count = 0.0
    with torch.inference_mode():
        for ids, weights in rows:
            tokens = torch.tensor(ids, device=model.device)
            kept = torch.tensor(weights[1:], dtype=torch.float32, device=model.device)
            logits = model(input_ids=tokens[None], use_cache=False).logits[0, :-1].float()
            losses = torch.nn.functional.cross_entropy(logits, tokens[1:], reduction="none")
            total, count = total + float((losses * kept).sum()), count + float(kept.sum())
    return total / count if count else float("nan")


def group_size(model: Any, largest: int = 128) -> int:
    """How many weights share a scale: as many as divide the width of every linear layer but the head."""
    import torch

    head = model.get_output_embeddings()
    widths = {m.in_features for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head}
    for size in (largest, 64, 32, 16):
        if all(width % size == 0 for width in widths):
            return size
    raise UserError(
        f"Its layers are {', '.join(map(str, sorted(widths)))} wide, which groups of 16 weights don't divide.",
        hint="Take int8 or fp8, which need no groups, or a GGUF file: --to gguf.",
    )
