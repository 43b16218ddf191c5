"""A loaded model is asked as it was trained, generates what transformers would, and stops where it should."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tunesmith.config import AdapterConfig, GenerationConfig, ModelConfig
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.inference.engine import ChatEngine
from tunesmith.inference.load import load_engine
from tunesmith.inference.settings import with_changes
from tunesmith.models.adapters import apply_tuning
from tunesmith.models.saving import save_tuned
from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.encode import EncodeOptions, Encoder, TokenSample

GREEDY = GenerationConfig(do_sample=False, max_new_tokens=24)
QUESTION = Conversation((Message("user", "What is the capital of France?"),))
TALK = Conversation(
    (
        Message("system", "Be brief."),
        Message("user", "What does <|im_end|> mean? 你好 👋"),
        Message("assistant", "\n\nIt ends a turn.\n"),
        Message("user", "\n  And then?"),
        Message("assistant", "The next one."),
    )
)


def engine_of(folder: Path, **keys: object) -> ChatEngine:
    job = load_job([], {"model_name_or_path": str(folder), "infer_dtype": "float32", **keys}, verb="chat").job
    return load_engine(job, note=lambda sentence: None)


@pytest.fixture
def engine(tiny_model_dir: Callable[..., Path]) -> ChatEngine:
    return engine_of(tiny_model_dir("llama"))


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3"])
def test_greedy_answers_are_those_of_transformers(architecture: str, tiny_model_dir: Callable[..., Path]) -> None:
    engine = engine_of(tiny_model_dir(architecture))
    prompt = torch.from_numpy(engine.prompt(QUESTION)).long()[None]
    settings = {"do_sample": False, "max_new_tokens": 24, "eos_token_id": sorted(engine.ends.ids), "pad_token_id": 0}
    ids = engine.model.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)[0, prompt.shape[1] :]
    kept = [i for i in ids.tolist() if i not in engine.ends.ids]
    answer = engine.stream(QUESTION, GREEDY)
    assert "".join(piece.text for piece in answer) == engine.tokenizer.decode(kept, skip_special_tokens=True)
    assert answer.tokens == len(ids) and answer.prompt_tokens == prompt.shape[1]


@pytest.mark.parametrize("template", [None, "chatml", "qwen", "qwen3", "qwen3_nothink", "llama3", "vicuna", "zephyr"])
def test_the_prompt_has_the_ids_of_training(template: str | None, tiny_model_dir: Callable[..., Path]) -> None:
    """Also where an earlier answer begins with line breaks, and where a question spells a control token."""
    engine = engine_of(tiny_model_dir("llama"), template=template)
    for conversation in (TALK, Conversation((*QUESTION.messages, Message("assistant", "Paris.")))):
        encoder = Encoder(engine.tokenizer, engine.template, EncodeOptions(cutoff_len=None, mask_history=True))
        (sample,) = encoder.encode([conversation])
        assert isinstance(sample, TokenSample)
        start = int(sample.weights.argmax())
        prompt = engine.prompt(Conversation(conversation.messages[:-1]))
        assert prompt.tolist() == sample.input_ids[:start].tolist()


def test_a_token_of_the_generation_config_ends_the_answer(
    engine: ChatEngine, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    prompt = torch.from_numpy(engine.prompt(QUESTION)).long()[None]
    ids = engine.model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=24)
    chosen = ids[0, prompt.shape[1] + 5].item()
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_dir("llama"), folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, chosen]}), encoding="utf-8")
    answer = engine_of(folder).stream(QUESTION, GREEDY)
    for _ in answer:
        pass
    assert answer.finish == "stop" and answer.tokens <= 6


def test_one_seed_one_answer_and_settings_matter(tiny_model_dir: Callable[..., Path]) -> None:
    settings = GenerationConfig(temperature=2.0, top_p=1.0, max_new_tokens=12)
    first, again, other = (engine_of(tiny_model_dir("llama"), seed=seed).chat(QUESTION, settings) for seed in (1, 1, 2))
    assert first == again != other


def test_reasoning_that_the_prompt_opened_is_not_the_answer(
    engine: ChatEngine, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_dir("llama"), folder)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}",
        encoding="utf-8",
    )
    answer = engine_of(folder).stream(QUESTION, GREEDY)
    assert {piece.kind for piece in answer} == {"thinking"}
    assert answer.message.content == "" and answer.message.thinking


def test_what_does_not_fit_in_the_model_is_told(engine: ChatEngine) -> None:
    with pytest.raises(UserError, match="tokens long; this model takes 256"):
        engine.stream(Conversation((Message("user", "far too long " * 200),)), GREEDY)
    short = engine.stream(QUESTION, replace(GREEDY, max_new_tokens=10_000))
    for _ in short:
        pass
    assert short.prompt_tokens + short.tokens <= 256


def test_the_base_of_a_pissa_adapter_answers_as_the_base(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny_model_dir("llama")
    plain = engine_of(folder)
    tuned = apply_tuning(plain.model, AdapterConfig(pissa_init=True), ModelConfig())
    torch.manual_seed(1)
    for parameter in tuned.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.1
    save_tuned(tuned, folder, tmp_path)
    engine = engine_of(folder, adapter_name_or_path=str(tmp_path))
    expected = engine_of(folder).chat(QUESTION, GREEDY)
    assert engine.chat(QUESTION, GREEDY) != expected
    with engine.base():
        assert engine.chat(QUESTION, GREEDY) == expected


def test_leaving_off_ends_the_generation(engine: ChatEngine) -> None:
    answer = engine.stream(QUESTION, replace(GREEDY, max_new_tokens=200))
    for _ in answer:
        break
    assert answer.tokens < 10 and answer.finish is None


def test_settings_follow_the_rules_of_the_config() -> None:
    settings, thinking = with_changes(GenerationConfig(), True, {"temperature": "0.2", "enable_thinking": "false"})
    assert (settings.temperature, settings.top_p, thinking) == (0.2, 0.7, False)
    for name, value, said in [
        ("temperature", "-1", "≥ 0"), ("top_p", "2", "≤ 1"), ("max_new_tokens", "many", "whole number"),
        ("temperatur", "1", "temperature"), ("learning_rate", "1", "can't be changed while talking"),
    ]:  # fmt: skip
        with pytest.raises(UserError) as error:
            with_changes(GenerationConfig(), True, {name: value})
        assert said in str(error.value)
