"""The named prompt families: one templates/<name>.jinja each, its first comment saying what the text alone can't."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tunesmith.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent / "templates"

_NOT_BUILT_IN = """
    aeva bailing bailing_v2 breeze chatml_de cpm4 dbrx deepseekcoder dots_ocr ernie ernie_nothink ernie_vl
    falcon falcon_h1 fewshot gemma3n gemma4 gemma4n glm4_5v glm4_7 glm4_moe glm4v glm_ocr gpt_oss
    granite3_vision granite4 hunyuan hunyuan_small hy3 hy_dense_1_8b hy_dense_7b index intern_s1 intern_vl
    keye_vl kimi_vl lfm2 lfm2_vl llama4 llava llava_next llava_next_llama3 llava_next_mistral llava_next_qwen
    llava_next_video llava_next_video_mistral llava_next_video_yi llava_next_yi mimo_v2 mimo_vl minicpm_o
    minicpm_v minicpm_v_4_6 minimax1 minimax2 ministral3 mllama moss_vl opencoder paligemma paligemma_chat
    phi_small pixtral qwen2_audio qwen2_omni qwen2_vl qwen3_5 qwen3_5_nothink qwen3_6 qwen3_omni
    qwen3_omni_nothink qwen3_vl qwen3_vl_nothink seed_oss starchat telechat2 video_llava xuanyuan yi_vl youtu
    youtu_vl yuan
"""
NOT_BUILT_IN = frozenset(_NOT_BUILT_IN.split())
"""Names that LLaMA-Factory's files may hold and that have no family here."""


@dataclass(frozen=True, slots=True)
class Family:
    """A prompt format. stop: the tokens that end an answer. tools: the name of its tool format in tools.py.

    reasoning: whether it writes reasoning itself (otherwise <think> tags are put around it in the answer).
    """

    name: str
    source: str
    stop: tuple[str, ...] = ()
    default_system: str = ""
    tools: str = "default"
    reasoning: bool = False


@cache
def family_names() -> Mapping[str, str]:
    """Every name and alias → the file that holds it."""
    names: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.jinja")):
        header, _ = _split(path.read_text(encoding="utf-8"))
        for name in (path.stem, *header.get("aliases", "").split()):
            assert name not in names, f"two templates are named {name}"
            names[name] = path.stem
    return names


def load_family(name: str) -> Family:
    """The family called name; UserError saying what to do where there is none."""
    known = family_names()
    if name in NOT_BUILT_IN:
        raise UserError(
            f"The template {name!r} of LLaMA-Factory is not built in here.",
            hint="Leave `template:` out: the model's own chat template is then used.",
            field="template",
        )
    if name not in known:
        hint = did_you_mean(name, known) or f"Known: {', '.join(sorted(known))}."
        raise UserError(f"There is no template called {name!r}.", hint=hint, field="template")
    header, body = _split((FOLDER / f"{known[name]}.jinja").read_text(encoding="utf-8"))
    if base := header.get("like"):
        _, body = _split((FOLDER / f"{base}.jinja").read_text(encoding="utf-8"))
    return Family(
        name=known[name],
        source=body,
        stop=tuple(header.get("stop", "").split()),
        default_system=header.get("default_system", ""),
        tools=header.get("tools", "default"),
        reasoning=header.get("reasoning") == "yes",
    )


def _split(text: str) -> tuple[dict[str, str], str]:
    """The first comment's `key: value` lines, and what follows it. Values in double quotes are JSON strings."""
    match = re.match(r"\{#-?(.*?)-?#\}\s*", text, re.DOTALL)
    assert match, "a template begins with its header comment"
    header: dict[str, str] = {}
    for line in match[1].strip().splitlines():
        key, _, value = line.partition(":")
        value = value.strip()
        header[key.strip()] = json.loads(value) if value.startswith('"') else value
    return header, text[match.end() :]


def no_template() -> UserError:
    """What to say where a model brings no template and none is named."""
    return UserError(
        "This model has no chat template of its own, and `template:` is not set.",
        hint="Set template to the model's family; for a base model chatml or default. "
        f"Known: {', '.join(sorted(family_names()))}.",
        field="template",
        code="template",
    )
