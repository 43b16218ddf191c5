"""A GGUF file in the real llama.cpp, computing in float32: what the files we write are compared with."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LlamaServer:
    server: Any

    def ask(self, path: str, **body: Any) -> Any:
        address = self.server.listening_address + path
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.load(answer)

    def tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        return self.ask("/tokenize", content=text, add_special=add_special, parse_special=True)["tokens"]

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        return self.ask("/apply-template", messages=list(messages))["prompt"]

    def next_tokens(self, ids: Sequence[int], count: int = 20) -> dict[int, float]:
        """Log-probabilities of the likeliest next tokens."""
        # One whole character is made to come: the server tells no probabilities before a character is whole.
        forced = [[self.tokenize("a")[-1], 1000.0]]
        asked = {"prompt": list(ids), "n_predict": 1, "n_probs": count, "temperature": -1.0, "logit_bias": forced}
        (found,) = self.ask("/completion", **asked, cache_prompt=False)["completion_probabilities"]
        return {each["id"]: each["logprob"] for each in found["top_logprobs"]}


@contextmanager
def serving(path: Path, *, context: int = 256, adapter: Path | None = None) -> Iterator[LlamaServer]:
    """The file loaded, with an adapter on it if one is given."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(path), context, 1, 0
    params.verbosity, params.port, params.use_jinja, params.warmup, params.ui = -1, 0, True, False, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # Keys and values are rounded to float16 otherwise.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if adapter is not None:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
    server = xllamacpp.Server(params)
    try:
        yield LlamaServer(server)
    finally:
        del server
