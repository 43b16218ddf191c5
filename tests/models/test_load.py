"""Loading: the right weights in the right dtype, more tokens, longer positions, and refusals that say why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError
from tunesmith.models.adapters import apply_tuning
from tunesmith.models.load import enable_gradient_checkpointing, load_model
from tunesmith.models.locate import locate
from tunesmith.models.precision import Precision
from tunesmith.models.rope_scaling import stretch_positions
from tunesmith.models.saving import save_tuned
from tunesmith.models.vocabulary import Vocabulary, prepare_vocabulary

TinyModel = Callable[..., Path]
IDS = torch.tensor([[5, 300, 17, 42, 120, 9]])
CPU = torch.device("cpu")
FP32 = Precision(torch.float32, torch.float32, "")
BF16 = Precision(torch.bfloat16, torch.float32, "")
ARCHITECTURES = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3"]


def load(
    folder: Path, cache: Path, precision: Precision = FP32, *, training: bool = False, **settings: object
) -> tuple[PreTrainedModel, Vocabulary, list[str]]:
    model = ModelConfig(model_name_or_path=str(folder), **settings)
    located = locate(model)
    vocabulary = prepare_vocabulary(model, located, cache)
    notes: list[str] = []
    loaded = load_model(
        model, located, precision, vocabulary, device=CPU, training=training, cutoff_len=1000, note=notes.append
    )
    return loaded, vocabulary, notes


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_loads_as_transformers_loads_it(
    tiny_model_dir: TinyModel, tmp_path: Path, kind: str
) -> None:
    folder = tiny_model_dir(kind)
    expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    found, vocabulary, _ = load(folder, tmp_path, BF16)
    assert vocabulary.folder == folder and not list(tmp_path.iterdir())
    assert found.state_dict().keys() == expected.state_dict().keys()
    with torch.no_grad():
        assert torch.equal(found(input_ids=IDS).logits, expected(input_ids=IDS).logits)
    assert found.generation_config.eos_token_id == expected.generation_config.eos_token_id


def test_shards_are_read_in_full(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    whole = AutoModelForCausalLM.from_pretrained(tiny_model_dir("qwen3"))
    whole.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    shutil.copy(tiny_model_dir("qwen3") / "tokenizer.json", tmp_path / "sharded")
    found, _, _ = load(tmp_path / "sharded", tmp_path)
    assert all(torch.equal(weight, whole.state_dict()[name]) for name, weight in found.state_dict().items())


def test_loading_half_needs_the_half_and_little_more(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    """A float32 checkpoint of 64 MB loaded as bf16: 32 MB of weights, and no mapped or second copy beside them."""
    folder = tiny_model_dir("llama", vocab_size=262144, tie_word_embeddings=True)
    assert (folder / "model.safetensors").stat().st_size > 64 << 20
    program = (
        "import sys, torch, resource; from pathlib import Path\n"
        "from tunesmith.config.model import ModelConfig; from tunesmith.models.locate import locate\n"
        "from tunesmith.models.load import load_model; from tunesmith.models.precision import Precision\n"
        "from tunesmith.models.vocabulary import prepare_vocabulary\n"
        "m = ModelConfig(model_name_or_path=sys.argv[1]); at = locate(m); cache = Path(sys.argv[2])\n"
        "v = prepare_vocabulary(m, at, cache)\n"
        "half, place = Precision(torch.bfloat16, torch.float32, ''), torch.device('cpu')\n"
        "small = ModelConfig(model_name_or_path=sys.argv[3]); near = locate(small)\n"
        "load_model(small, near, half, prepare_vocabulary(small, near, cache), device=place, training=True)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); model = load_model(m, at, half, v, device=place, training=True); print(peak() - before)\n"
    )
    arguments = [sys.executable, "-c", program, str(folder), str(tmp_path), str(tiny_model_dir("llama"))]
    done = subprocess.run(arguments, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    kilobytes = int(done.stdout.strip().splitlines()[-1]) // (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 60 << 10  # float32 beside it would be 96 MB


def test_training_takes_the_attention_that_keeps_rows_apart(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    assert load(tiny_model_dir(), tmp_path, training=True)[0].config._attn_implementation == "tunesmith_segments"
    assert load(tiny_model_dir(), tmp_path)[0].config._attn_implementation == "sdpa"
    loaded, _, notes = load(tiny_model_dir(), tmp_path, flash_attn="fa2")
    assert loaded.config._attn_implementation == "sdpa" and "fa2 was not taken" in notes[0]
    assert load(tiny_model_dir(), tmp_path, flash_attn="disabled")[0].config._attn_implementation == "eager"


def test_from_scratch_starts_with_other_weights(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("qwen2")
    fresh, _, _ = load(folder, tmp_path, BF16, train_from_scratch=True)
    stored = load_file(folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    assert fresh.dtype == torch.bfloat16
    assert not torch.allclose(fresh.model.layers[0].mlp.up_proj.weight.float(), stored, atol=1e-2)


@pytest.mark.parametrize("tied", [True, False])
def test_new_tokens_get_rows_at_the_mean_and_learn_with_lora(
    tiny_model_dir: TinyModel, tmp_path: Path, tied: bool
) -> None:
    folder = tiny_model_dir("qwen3", tie_word_embeddings=tied)
    settings = {"add_tokens": ("<tool>",), "add_special_tokens": ("<|sep|>",), "resize_vocab": True}
    loaded, vocabulary, _ = load(folder, tmp_path / "cache", **settings)
    rows = loaded.get_input_embeddings().weight
    before = AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight
    known = before.shape[0]
    assert vocabulary.new_ids == (known, known + 1) and vocabulary.size == known + 2
    assert rows.shape[0] % 64 == 0 and torch.equal(rows[:known], before)
    assert torch.allclose(rows[known], before.mean(dim=0), atol=1e-6)
    assert (loaded.get_output_embeddings().weight is rows) == tied
    tokenizer = AutoTokenizer.from_pretrained(vocabulary.folder)
    assert tokenizer.encode("a<tool>b<|sep|>")[1::2] == list(vocabulary.new_ids)
    assert "<|sep|>" in tokenizer.all_special_tokens or tokenizer.decode([known + 1], skip_special_tokens=True) == ""

    source = ModelConfig(model_name_or_path=str(folder), **settings)
    tuned = apply_tuning(loaded, AdapterConfig(), source, new_ids=vocabulary.new_ids)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad and "token" in name:
                parameter.add_(1.0)
        new = torch.tensor([[5, known, known + 1]])
        after = tuned.eval()(input_ids=new).logits
    save_tuned(tuned, vocabulary.folder, tmp_path / "adapter")
    again, _, _ = load(folder, tmp_path / "cache", **settings)
    given = AdapterConfig(adapter_name_or_path=(str(tmp_path / "adapter"),))
    with torch.no_grad():
        assert not torch.allclose(after, again(input_ids=new).logits, atol=1e-2)
        assert torch.allclose(
            apply_tuning(again, given, source, is_trainable=False)(input_ids=new).logits, after, atol=1e-4
        )


def test_a_control_token_may_be_without_an_embedding(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    """As Gemma 3's token for images in its text models."""
    folder = tmp_path / "one-more"
    shutil.copytree(tiny_model_dir("llama"), folder)
    spec = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    token = {"id": 512, "content": "<image>", "special": True, "normalized": False, "single_word": False,
             "lstrip": False, "rstrip": False}  # fmt: skip
    spec["added_tokens"].append(token)
    (folder / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    assert load(folder, tmp_path)[0].get_input_embeddings().weight.shape[0] == 512


def test_a_tokenizer_beyond_the_embeddings_is_refused(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("llama", vocab_size=500)
    with pytest.raises(UserError, match="512 tokens and the model rows for 500") as told:
        load(folder, tmp_path)
    assert told.value.field == "resize_vocab"
    assert load(folder, tmp_path, resize_vocab=True)[0].get_input_embeddings().weight.shape[0] == 512


def test_positions_are_stretched_to_the_cutoff(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = tiny_model_dir("llama")  # made for 256 tokens
    for kind in ("linear", "dynamic", "yarn", "llama3"):
        loaded, _, notes = load(folder, tmp_path, rope_scaling=kind)
        rope = loaded.config.rope_parameters
        assert (rope["rope_type"], rope["factor"]) == (kind, 4.0) and "stretched by 4" in notes[0]
        with torch.no_grad():
            assert loaded(input_ids=torch.arange(1000)[None] % 500).logits.isfinite().all()
    config = AutoConfig.from_pretrained(folder)
    same, sentence = stretch_positions(config, "yarn", 100)
    assert same is config and "not needed" in sentence


def test_checkpointing_gives_the_same_gradients(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    def gradients(checkpointing: bool) -> list[torch.Tensor]:
        model, _, _ = load(tiny_model_dir("qwen3"), tmp_path, training=True)
        if checkpointing:
            enable_gradient_checkpointing(model)
        torch.manual_seed(0)
        tuned = apply_tuning(model, AdapterConfig(), ModelConfig()).train()
        tuned(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()
        return [parameter.grad for parameter in tuned.parameters() if parameter.grad is not None]

    plain, recomputed = gradients(False), gradients(True)
    assert plain and all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, recomputed, strict=True))


def test_norms_in_float32_still_run_in_bf16(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    loaded, _, _ = load(tiny_model_dir("qwen3"), tmp_path, BF16, upcast_layernorm=True)
    assert loaded.model.norm.weight.dtype == torch.float32
    with torch.no_grad():
        assert loaded(input_ids=IDS).logits.dtype == torch.bfloat16


def changed(folder: Path, target: Path, **settings: object) -> Path:
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    (target / "config.json").write_text(json.dumps({**config, **settings}), encoding="utf-8")
    return target


def test_what_can_t_be_loaded_says_why(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    tiny = tiny_model_dir("llama")
    code = {"AutoConfig": "configuration_mine.Mine", "AutoModelForCausalLM": "modeling_mine.Mine"}
    lacking = changed(tiny, tmp_path / "lacking")
    weights = load_file(lacking / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, lacking / "model.safetensors", metadata={"format": "pt"})
    tokenless = changed(tiny, tmp_path / "tokenless")
    (tokenless / "tokenizer.json").unlink()
    for folder, field, words in [
        (changed(tiny, tmp_path / "typo", model_type="lama"), "model_name_or_path", "llama"),
        (
            changed(tiny, tmp_path / "own", model_type="mine", auto_map=code),
            "trust_remote_code",
            "Python code of its own",
        ),
        (changed(tiny, tmp_path / "bert", model_type="clip"), "model_name_or_path", "not a causal language model"),
        (changed(tiny, tmp_path / "wide", hidden_size=32), "model_name_or_path", "model"),
        (lacking, "model_name_or_path", "model.norm.weight"),
        (tokenless, "model_name_or_path", "tokenizer"),
    ]:
        with pytest.raises(UserError) as told:
            load(folder, tmp_path / "cache")
        assert told.value.field == field and words in str(told.value), folder


@pytest.mark.parametrize(("bits", "words"), [(4, "needs a GPU"), (3, "has 4 and 8")])
def test_quantization_that_can_t_work_here_is_refused(
    tiny_model_dir: TinyModel, tmp_path: Path, bits: int, words: str
) -> None:
    with pytest.raises(UserError, match=words) as told:
        load(tiny_model_dir(), tmp_path, quantization_bit=bits)
    assert told.value.field == "quantization_bit"
