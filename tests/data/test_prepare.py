"""All data of a job, through the real tokenizer and encoder: mixed, split, packed, cached, kept, streamed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tunesmith.config.data import DataConfig
from tunesmith.config.objective import ObjectiveConfig
from tunesmith.data.loader import BatchLoader, StreamLoader
from tunesmith.data.prepare import prepare, prepare_stream
from tunesmith.errors import UserError
from tunesmith.text.template import choose_template
from tunesmith.text.tokenizer import Tokenizer

BUNDLED = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer_dir):
    return Tokenizer.load(tiny_tokenizer_dir)


@pytest.fixture
def run(tokenizer, tmp_path):
    def run(stage="sft", dataset_dir=BUNDLED, **data):
        config = DataConfig(dataset_dir=str(dataset_dir), **data)
        template = choose_template(None, tokenizer).template
        cache = tmp_path / "cache"
        return prepare(config, ObjectiveConfig(stage=stage), tokenizer, template, seed=1, cache_dir=cache)

    return run


def test_a_conversation_as_the_model_sees_it_with_its_answer_trained(run, tokenizer):
    data = run(dataset=("identity",), placeholders={"name": "Wren", "author": "Ada"})
    ids, weights = data.train.ids(0), data.train.weights(0)
    assert tokenizer.decode(ids).startswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nHello! I am Wren,")
    assert tokenizer.decode(ids[weights != 0]).startswith("Hello! I am Wren, an AI assistant developed by Ada.")
    assert tokenizer.decode(ids[weights == 0]).strip().endswith("assistant")
    assert data.report.refused == 0 and not data.report.datasets[0].placeholders


def test_several_sets_of_several_formats_with_a_split(run):
    names = ("identity", "alpaca_zh_demo", "sharegpt_demo", "openai_tools_demo")
    data = run(dataset=names, val_size=0.1)
    total = sum(report.samples for report in data.report.datasets)
    assert [report.format for report in data.report.datasets] == ["alpaca", "alpaca", "sharegpt", "openai"]
    assert len(data.train) + len(data.evals["eval"]) == total
    assert len(data.evals["eval"]) == round(0.1 * total)
    assert data.report.train_samples == len(data.train)
    assert any("{{name}}" in line for line in data.report.lines())


def test_evaluation_sets_together_or_apart(run):
    both = ("alpaca_en_demo", "alpaca_zh_demo")
    together = run(dataset=("identity",), eval_dataset=both)
    apart = run(dataset=("identity",), eval_dataset=both, eval_on_each_dataset=True)
    assert {name: len(store) for name, store in together.evals.items()} == {"eval": 80}
    assert {name: len(store) for name, store in apart.evals.items()} == dict.fromkeys(both, 40)


def test_evaluation_sets_of_one_file_name_stay_apart(run, tmp_path):
    paths = []
    for folder, count in (("x", 2), ("y", 3), ("z", 4)):
        path = tmp_path / folder / "d.jsonl"
        path.parent.mkdir()
        row = json.dumps({"instruction": folder, "output": "b"})
        path.write_text("\n".join([row] * count), encoding="utf-8")
        paths.append(str(path))
    data = run(dataset=("identity",), eval_dataset=tuple(paths), eval_on_each_dataset=True)
    assert {name: len(store) for name, store in data.evals.items()} == {"d": 2, "d_2": 3, "d_3": 4}


@pytest.mark.parametrize("val_size", [6.0, 0.1])
def test_no_copy_of_a_row_lies_on_both_sides_of_the_split(run, tmp_path, val_size):
    def rows_of(store):
        return [tuple(store.ids(row).tolist()) for row in range(len(store))]

    info = {}
    for name, count, taken in (("few", 10, 25), ("many", 50, None)):
        rows = [json.dumps({"instruction": f"{name} {n}", "output": "b"}) for n in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
        info[name] = {"file_name": f"{name}.jsonl"} | ({"num_samples": taken} if taken else {})
    (tmp_path / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    data = run(dataset_dir=tmp_path, dataset=("few", "many"), mix_strategy="interleave_over", val_size=val_size)
    train, held = rows_of(data.train), rows_of(data.evals["eval"])
    assert len(held) == len(set(held)) == 6
    assert not set(held) & set(train)
    assert len(set(train)) == 54


def test_documents_fill_rows_and_lose_nothing(run, tokenizer):
    packed = run(stage="pt", dataset=("pretrain_demo",), cutoff_len=64)
    apart = run(stage="pt", dataset=("pretrain_demo",), cutoff_len=64, packing=False)
    assert set(packed.train.lengths[:-1].tolist()) == {64}
    text = tokenizer.decode(np.concatenate([packed.train.ids(row) for row in range(len(packed.train))]))
    lines = (BUNDLED / "pretrain_demo.txt").read_text(encoding="utf-8").splitlines()
    assert text.replace("<|im_end|>", "\n").splitlines() == lines
    assert len(apart.train) == len(lines) and max(apart.train.lengths) == 64
    assert apart.report.datasets[0].truncated > 0


def test_the_second_time_comes_from_the_cache_with_the_same_report(run):
    first, second = (run(dataset=("identity", "alpaca_en_demo")) for _ in range(2))
    assert [report.cached for report in second.report.datasets] == [True, True]
    assert first.report.lines() == second.report.lines()
    for row in (0, 100):
        assert first.train.ids(row).tolist() == second.train.ids(row).tolist()
        assert first.train.weights(row).tolist() == second.train.weights(row).tolist()
    assert not run(dataset=("identity",), cutoff_len=16).report.datasets[0].cached


def test_num_samples_and_max_samples(run, tmp_path):
    info = {"few": {"file_name": str(BUNDLED / "identity.json"), "num_samples": 7}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    assert len(run(dataset_dir=tmp_path, dataset=("few",)).train) == 7
    assert len(run(dataset_dir=tmp_path, dataset=("few",), max_samples=5).train) == 5
    assert len(run(dataset=("identity", "alpaca_en_demo"), max_samples=5).train) == 10


def test_tokenized_path_keeps_and_gives_back_and_tells_what_differs(run, tmp_path):
    kept = tmp_path / "kept"
    made = run(dataset=("identity",), val_size=10.0, tokenized_path=str(kept))
    back = run(dataset=("identity",), val_size=10.0, tokenized_path=str(kept), cutoff_len=99)
    assert [back.train.ids(row).tolist() for row in range(80)] == [made.train.ids(row).tolist() for row in range(80)]
    assert len(back.evals["eval"]) == 10
    assert any("cutoff_len: 2048; the job says 99" in note for note in back.report.notes)
    index = json.loads((kept / "prepared.json").read_text(encoding="utf-8"))
    (kept / "prepared.json").write_text(json.dumps({**index, "tokenizer": "another"}), encoding="utf-8")
    with pytest.raises(UserError, match="another tokenizer"):
        run(dataset=("identity",), tokenized_path=str(kept))
    (kept / "prepared.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="damaged"):
        run(dataset=("identity",), tokenized_path=str(kept))


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(run, tmp_path):
    for place in ("dataset_dict.json", "train/notes.txt", "eval-0/mine.csv"):
        folder = tmp_path / place.split("/")[0].replace(".", "-")
        file = folder / place
        file.parent.mkdir(parents=True)
        file.write_text("mine", encoding="utf-8")
        (file.parent / "meta.json").write_text("{}", encoding="utf-8")
        with pytest.raises(UserError, match="holds other files") as caught:
            run(dataset=("identity",), tokenized_path=str(folder))
        assert caught.value.field == "tokenized_path"
        assert file.read_text(encoding="utf-8") == "mine"
    with pytest.raises(UserError, match="is a file"):
        run(dataset=("identity",), tokenized_path=str(file))


def test_what_an_unfinished_saving_left_is_replaced(run, tmp_path):
    kept = tmp_path / "kept"
    run(dataset=("identity",), tokenized_path=str(kept))
    (kept / "prepared.json").unlink()
    (kept / "train.partial-0123abcd").mkdir()
    again = run(dataset=("alpaca_en_demo",), tokenized_path=str(kept))
    assert len(run(dataset=("alpaca_en_demo",), tokenized_path=str(kept)).train) == len(again.train) == 40


def test_packed_and_unpacked_hold_the_same_trained_tokens(run):
    data = run(dataset=("identity", "alpaca_en_demo"))
    counts = []
    for packing in ("none", "neat"):
        loader = BatchLoader(data.train, batch_size=4, packing=packing, cutoff=512)
        batches = [batch for number in range(loader.steps_per_epoch) for batch in loader.step(number)]
        counts.append((sum(batch.tokens for batch in batches), sum(batch.trained for batch in batches)))
    assert counts[0] == counts[1]


def test_streaming_gives_the_samples_that_preparing_gives(run, tokenizer, tmp_path):
    prepared = run(dataset=("identity", "alpaca_en_demo"))
    names = ("identity", "alpaca_en_demo")
    config = DataConfig(dataset_dir=str(BUNDLED), dataset=names, streaming=True, buffer_size=16)
    template = choose_template(None, tokenizer).template
    objective = ObjectiveConfig(stage="sft")
    streamed = prepare_stream(config, objective, tokenizer, template, seed=1, shuffle=True, cache_dir=tmp_path)
    loader = StreamLoader(streamed.stream, batch_size=1, joined=False)
    seen = sorted(loader.step(number)[0].input_ids.tolist() for number in range(len(prepared.train)))
    assert seen == sorted(prepared.train.ids(row).tolist() for row in range(len(prepared.train)))


def test_streamed_documents_fill_rows_as_prepared_ones_do(run, tokenizer, tmp_path):
    settings = {"dataset": ("pretrain_demo",), "cutoff_len": 64}
    prepared = run(stage="pt", **settings).train
    config = DataConfig(dataset_dir=str(BUNDLED), streaming=True, **settings)
    objective = ObjectiveConfig(stage="pt")
    streamed = prepare_stream(config, objective, tokenizer, None, seed=1, shuffle=False, cache_dir=tmp_path)
    loader = StreamLoader(streamed.stream, batch_size=1, joined=False)
    for row in range(len(prepared)):
        (batch,) = loader.step(row)
        assert batch.input_ids.tolist() == prepared.ids(row).tolist()
        assert batch.cu_seqlens.tolist() == [0, len(prepared.ids(row))]
