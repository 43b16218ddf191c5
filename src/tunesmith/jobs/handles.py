"""What Python code holds in its hands: a run that was trained, and a model to talk to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from tunesmith.config import GenerationConfig
from tunesmith.config.job import evaluates_alone
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.evaluation.results import Predictions
from tunesmith.jobs.places import configuration_of
from tunesmith.jobs.process import settled_libraries
from tunesmith.runs.files import read_json
from tunesmith.runs.read import RunReader
from tunesmith.runs.state import RunState

if TYPE_CHECKING:
    from tunesmith.inference.conversation import Asked
    from tunesmith.inference.engine import ChatEngine
    from tunesmith.text.conversation import Message


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run and its directory."""

    path: Path

    @property
    def state(self) -> RunState:
        return RunReader(self.path).state()

    def metrics(self) -> list[dict[str, Any]]:
        """Every report of the run in step order: `step`, `loss`, `learning_rate`, `eval_loss` and the like."""
        return RunReader(self.path).metrics()

    def load(self, **keys: Any) -> LoadedModel:
        """The model that was trained, ready to answer."""
        return load(self, **keys)

    def evaluate(self, dataset: str | Path | None = None, **keys: Any) -> Evaluation:
        """Its loss and its answers on a data set, or on the rows that were held back from training."""
        return evaluate(self, dataset=dataset, **keys)

    def export(self, **keys: Any) -> Path:
        """Write it for other programs and return the folder; keys as `tunesmith export` takes them (export_quant …).

        UserError for anything wrong, also where a file does not answer as the trained model does.
        """
        from tunesmith.jobs import export

        files, given = configuration_of(str(self.path))
        place = {"export_dir": str(Path("exports") / self.path.resolve().name)}
        job = load_job(files, {**given, **place, **keys}, verb="export").job
        if export.export(job):
            raise UserError(f"What lies in {job.export.export_dir} does not answer as {self.path} does.")
        return Path(job.export.export_dir)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation came to, and its run directory."""

    path: Path

    @property
    def results(self) -> dict[str, float]:
        """By LLaMA-Factory's names: `eval_loss`, `predict_bleu-4`, `predict_rouge-l` and the like."""
        return read_json(RunReader(self.path).layout.results("all")) or {}

    def predictions(self) -> list[dict[str, Any]]:
        """Every answer: `prompt`, `predict`, `label`, `scores`, in the order of the data."""
        written = Predictions(RunReader(self.path).layout.predictions).refresh()
        return written.page(0, len(written))[0]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that answers. engine: what the terminal's chat works with too."""

    engine: ChatEngine
    settings: GenerationConfig

    @overload
    def chat(
        self, asked: str | Sequence[Asked], *, stream: Literal[False] = False, system: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (), **settings: Any,
    ) -> str: ...  # fmt: skip
    @overload
    def chat(
        self, asked: str | Sequence[Asked], *, stream: Literal[True], system: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (), **settings: Any,
    ) -> Iterator[str]: ...  # fmt: skip

    def chat(
        self,
        asked: str | Sequence[Asked],
        *,
        stream: bool = False,
        system: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        **settings: Any,
    ) -> str | Iterator[str]:
        """The answer without its reasoning, or with `stream` its pieces as they come.

        asked: a question, or messages such as {"role": "user", "content": …}. settings: for this answer, as in a config
        file: temperature, top_p, do_sample, max_new_tokens, enable_thinking … UserError for what doesn't fit.
        """
        pieces = (piece.text for piece in self._answer(asked, system, tools, settings) if piece.kind != "thinking")
        return pieces if stream else "".join(pieces)

    def reply(
        self,
        asked: str | Sequence[Asked],
        *,
        system: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        **settings: Any,
    ) -> Message:
        """The answer as a message, its reasoning and tool calls apart; it can be put at the end of the conversation."""
        answer = self._answer(asked, system, tools, settings)
        for _ in answer:
            pass
        return answer.message

    def base(self) -> AbstractContextManager[Any]:
        """Within this context the model answers as it did before training (where an adapter was trained)."""
        return self.engine.base()

    def _answer(
        self,
        asked: str | Sequence[Asked],
        system: str | None,
        tools: Sequence[Mapping[str, Any]],
        changes: dict[str, Any],
    ) -> Any:
        from dataclasses import replace

        from tunesmith.inference.conversation import conversation_of
        from tunesmith.inference.settings import with_changes

        settings, thinking = with_changes(self.settings, self.engine.thinking, changes)
        conversation = conversation_of(asked, system=system, tools=tools)
        return replace(self.engine, thinking=thinking).stream(conversation, settings)


def train(*configs: str | Path, **keys: Any) -> TrainedRun:
    """Train what config files and keys describe, keys winning, and return the run.

    `train("cfg.yaml", learning_rate=2e-5)`, or without a file `train(model_name_or_path=…, dataset=…, …)`. It works in
    this process, on one device; `tunesmith train` on the command line uses several. UserError for anything wrong;
    KeyboardInterrupt after Ctrl-C or `tunesmith runs stop`, when the run is saved: `load` takes its folder then.
    """
    from tunesmith.jobs import evaluate as jobs
    from tunesmith.jobs import execute

    resolved = load_job([Path(config) for config in configs], keys, verb="train")
    if evaluates_alone(resolved.job):
        raise UserError(
            "This configuration only evaluates (do_eval or do_predict, and no do_train).",
            hint="Call tunesmith.evaluate, or set do_train=True.",
            field="do_train",
        )
    run = TrainedRun(execute.train(resolved))
    if resolved.job.evaluation.do_predict:
        jobs.evaluate(jobs.after_training(resolved))
    return run


def evaluate(
    model: str | Path | TrainedRun, adapter: str | Path | None = None, *, dataset: str | Path | None = None, **keys: Any
) -> Evaluation:
    """The loss of a model on a data set, and its answers scored, as `tunesmith eval` does.

    model, adapter: as `load` takes them. dataset: a file or a name; left out, the run's eval_dataset or the rows that
    its val_size held back. keys: as in a config file, e.g. output_dir, temperature, predict_base, and
    predict_with_generate=False for the loss alone. UserError for anything wrong; KeyboardInterrupt as in `train`.
    """
    from tunesmith.jobs import evaluate as jobs

    place = str(model.path if isinstance(model, TrainedRun) else model)
    named = (None if adapter is None else str(adapter), None if dataset is None else str(dataset))
    files, given = jobs.configuration(place, *named, keys)
    return Evaluation(jobs.evaluate(load_job(files, {**given, **keys}, verb="eval")))


def load(model: str | Path | TrainedRun, adapter: str | Path | None = None, **keys: Any) -> LoadedModel:
    """A model to talk to: a run or a checkpoint in it, an adapter, a hub id, a folder, a GGUF file or a config file.

    adapter: the folder of an adapter to put on. keys: as in a config file, e.g. template, infer_dtype, temperature.
    """
    place = str(model.path if isinstance(model, TrainedRun) else model)
    files, given = configuration_of(place, None if adapter is None else str(adapter))
    job = load_job(files, {**given, **keys}, verb="chat").job
    with settled_libraries():
        from tunesmith.inference.load import load_engine

        return LoadedModel(load_engine(job), job.generation)
