"""A workspace that holds something of everything that the pages show, written as its jobs would have written it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.authoring.chat_server import Answer, Body, entries_about, serving

from tunesmith.authoring.options import MakeOptions
from tunesmith.errors import UserError
from tunesmith.jobs.make import make
from tunesmith.runs.files import append_line, replace_json
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.run import Run

TOWER = "The tower was built in 1911. Its keeper lives alone there. The lamp burns whale oil each night."


def filled(workspace: Path, model: str) -> Path:
    saves = workspace / "saves"
    _trained(saves / "trained", model).finish("finished")
    _trained(saves / "failed", model).finish("failed", UserError("CUDA out of memory.", hint="Smaller batches do."))
    (workspace / "exports").mkdir()
    (workspace / "exports" / "Modelfile").write_text("FROM ./model.gguf\n", encoding="utf-8")
    verified = [{"file": "model.gguf", "status": "warn", "cases": 4, "prompts": 3, "detail": "One answer differs."}]
    replace_json(workspace / "exports" / "quality.json", {"files": verified})
    Run.create(saves / "exported", {}, {"export_dir": "exports"}, kind="export").finish("finished")
    Run.create(saves / "converted", {"out": "numbers"}, {"out": "numbers"}, kind="data convert").finish("finished")
    kept = {"row": {"instruction": "Who?", "output": "Me."}, "line": 1, "file": "numbers.json", "reason": None}
    (workspace / "data" / "numbers.removed.txt").write_text(json.dumps(kept) + "\n", encoding="utf-8")
    _evaluated(saves / "exam")
    _conversation(workspace)
    _made(workspace)
    return workspace


def _evaluated(path: Path) -> None:
    """An answer that differs, beside the base's, and a question that could not be asked."""
    run = Run.create(path, {}, {"model_name_or_path": "tiny", "predict_with_generate": True}, kind="eval")
    run.update(steps=2, step=2)
    asked = {
        "messages": [{"role": "user", "content": "首都在哪裡？"}], "prompt": "<user>首都在哪裡？",
        "label": "在臺北市。",
    }  # fmt: skip
    scores = {"bleu-4": 41.2, "exact_match": 100.0}
    answered = {"predict": "在高雄市。", "thinking": "…", "scores": scores, "base": "", "base_scores": scores}
    append_line(run.layout.predictions, {**asked, **answered, "index": 0})
    append_line(run.layout.predictions, {**asked, "index": 1, "predict": "", "error": "The question is too long."})
    run.finish("finished")


def _trained(path: Path, model: str) -> Run:
    settings = {"model_name_or_path": model, "dataset": "numbers", "per_device_train_batch_size": 4}
    run = Run.create(path, settings, {**settings, "learning_rate": 1e-3 if path.name == "trained" else 1e-4})
    run.begin_attempt()
    run.update(step=20, steps=20)
    for step in range(1, 21):
        run.metric(step, loss=2 / step, learning_rate=1e-3, grad_norm=1.0, tokens_per_second=900.0)
    run.metric(10, eval_loss=0.4)
    run.metric(20, eval_loss=0.9)
    run.run_log("WARNING: something is odd\nan Error is told in red")
    replace_json(run.layout.tags, {"tags": ["best"]})
    pieces = [{"text": "Hi", "ids": [1], "kind": "masked"}, {"text": "Ho", "ids": [2], "kind": "trained"}]
    append_line(run.layout.samples, {"pieces": pieces})
    return run


def _conversation(workspace: Path) -> None:
    said = {"text": "I am **Tuna**.", "thinking": "They ask who I am.", "tokens": 9, "seconds": 1.5, "seed": 7}
    turns = [
        {"role": "user", "text": "Who are you?"},
        {"role": "assistant", "answer": said, "base": {"text": "An assistant.", "thinking": ""}},
    ]
    record = {"title": "Who are you?", "updated": 1.0, "content": {"system": "", "turns": turns}}
    path = workspace / ".tunesmith" / "conversations" / "one.json"
    path.parent.mkdir(parents=True)
    replace_json(path, record)


def _made(workspace: Path) -> None:
    """A job of authoring with rows in the set, held back and decided by hand."""
    (workspace / "tower.txt").write_text(TOWER, encoding="utf-8")
    # The browser's loop has this thread.
    with serving(partly_misquoted) as server, ThreadPoolExecutor(1) as thread:
        options = MakeOptions(out="tower", base_url=server.url, model="tester", entries=3, chunk_tokens=30)
        thread.submit(make, [Path("tower.txt")], options).result()
    layout = RunLayout(workspace / "saves" / "data" / "tower")
    rejected = workspace / "data" / "tower.rejected.jsonl"
    key = json.loads(rejected.read_text(encoding="utf-8"))["key"]
    append_line(layout.decisions, {"row": key, "verdict": "accepted", "time": 1.0})


def partly_misquoted(body: Body, number: int) -> Answer:
    """Three entries, of which one cites what was never written."""
    entries = entries_about(body)
    entries[-1]["evidence"] = "words that never stood anywhere in it"
    return Answer(json.dumps({"entries": entries}))
