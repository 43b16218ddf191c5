"""Who answers the questions of an authoring job: a server, or a model of this machine."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.authoring.client import Endpoint, Sampling
from tunesmith.authoring.credentials import Connection, connection
from tunesmith.authoring.model import AskFailed, Messages, Model, Reply
from tunesmith.authoring.options import JobOptions
from tunesmith.authoring.pace import Pace
from tunesmith.authoring.stop import Stop, Stopped
from tunesmith.errors import UserError

if TYPE_CHECKING:
    from tunesmith.inference.engine import ChatEngine
    from tunesmith.inference.llamacpp import LlamaCppEngine

_LOCAL_TOKENS = 2048
_WEIGHTS = (".safetensors", ".gguf", ".bin")


def is_local(options: JobOptions) -> bool:
    """Whether the model is a folder, file or run of this machine."""
    return bool(options.model) and not options.base_url and Path(options.model).expanduser().exists()


def who(options: JobOptions) -> tuple[str, Connection | None]:
    """(name of the model, where it is; None for a local one). UserError where neither is named."""
    if is_local(options):
        return _local_name(Path(options.model).expanduser().resolve()), None
    found = connection(options.base_url, options.model, key_variable=options.api_key_env)
    return found.model, found


def _local_name(path: Path) -> str:
    """Its own name with a mark of its weights: checkpoints of all runs are called alike, and answer differently."""
    files = [path] if path.is_file() else sorted(each for each in path.iterdir() if each.suffix in _WEIGHTS)
    facts = [(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files] or str(path)
    return f"{path.name}@{hashlib.sha256(repr(facts).encode('utf-8', 'replace')).hexdigest()[:8]}"


@asynccontextmanager
async def opened(
    options: JobOptions,
    stop: Stop,
    trouble: Callable[[str, float], None] = lambda reason, seconds: None,
    writing: Callable[[int], None] = lambda tokens: None,
) -> AsyncIterator[Model]:
    """The model, ready to be asked. trouble: see `Endpoint`; writing: see `LocalModel`."""
    name, place = who(options)
    if place is None:
        with _loaded(options) as engine, LocalModel(name, engine, options, stop, writing) as local:
            yield local
        return
    endpoint = Endpoint(
        place,
        sampling=Sampling(options.temperature, options.max_tokens),
        pace=Pace(options.rpm, options.tpm),
        stop=stop,
        timeout=options.timeout,
        retries=options.retries,
        connections=options.concurrency,
        trouble=trouble,
    )
    async with endpoint:
        yield endpoint


class LocalModel:
    """A model of this machine as one that can be asked; one answer at a time. Use as a context.

    In llama.cpp it can write nothing but what the schema allows; in torch the schema stands in the prompt alone.
    stop: where it says so no answer is begun, and the second time the one that is written is left. writing: told in
    another thread how many tokens an answer has so far; 0 when it ends.
    """

    def __init__(
        self,
        name: str,
        engine: ChatEngine | LlamaCppEngine,
        options: JobOptions,
        stop: Stop,
        writing: Callable[[int], None] = lambda tokens: None,
    ) -> None:
        self.name = name
        self._engine, self._options, self._stop, self._writing = engine, options, stop, writing
        self._left = False
        self._thread = ThreadPoolExecutor(1, "answers")

    def __enter__(self) -> LocalModel:
        return self

    def __exit__(self, *_: object) -> None:
        """The thread is awaited, for the engine's memory is freed next."""
        self._left = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def ask(self, messages: Messages, schema: Mapping[str, Any], most: int = 0) -> Reply:
        """See `Model`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, messages, schema, most)

    def _answer(self, messages: Messages, schema: Mapping[str, Any], most: int) -> Reply:
        from dataclasses import replace

        from tunesmith.config import GenerationConfig
        from tunesmith.inference.llamacpp import LlamaCppEngine
        from tunesmith.text.conversation import Conversation, Message

        if self._stop.ending or self._left:
            raise Stopped
        said = tuple(Message(message["role"], message["content"]) for message in messages)  # type: ignore[arg-type]
        limit = self._options.max_tokens or _LOCAL_TOKENS
        settings = GenerationConfig(max_new_tokens=min(limit, most) if most else limit)
        if (temperature := self._options.temperature) is not None:
            settings = replace(settings, temperature=temperature, do_sample=temperature > 0)
        engine = self._engine
        try:
            if isinstance(engine, LlamaCppEngine):
                answer = engine.stream(Conversation(said), settings, schema)
            else:
                answer = engine.stream(Conversation(said), settings)
            said_back = []
            for piece in answer:
                if self._stop.asked > 1 or self._left:
                    raise Stopped
                said_back.append(piece.text if piece.kind != "thinking" else "")
                self._writing(len(said_back))
        except UserError as error:
            raise AskFailed(error.message, alone=True) from None
        finally:
            self._writing(0)
        return Reply("".join(said_back), answer.prompt_tokens, answer.tokens, cut=answer.finish == "length")


@contextmanager
def _loaded(options: JobOptions) -> Iterator[ChatEngine | LlamaCppEngine]:
    """The model in llama.cpp where it is a GGUF file and llama.cpp is installed, otherwise in torch."""
    from tunesmith.models.gguf.runtime import is_installed

    path = Path(options.model).expanduser()
    if path.suffix.lower() == ".gguf" and path.is_file() and is_installed():
        from tunesmith.inference.llamacpp import llamacpp_engine

        with llamacpp_engine(path, thinking=False, seed=options.seed) as engine:
            yield engine
        return
    from tunesmith.config.load import load_job
    from tunesmith.jobs.places import configuration_of
    from tunesmith.jobs.process import settled_libraries

    with settled_libraries():
        from tunesmith.inference.load import load_engine

        files, keys = configuration_of(options.model)
        yield load_engine(load_job(files, {**keys, "enable_thinking": False}, verb="chat").job)


def counter(tokenizer: str) -> Callable[[Any], Any]:
    """How tokens are counted: by the tokenizer of a model, or estimated."""
    from tunesmith.authoring.chunk import estimate_all

    if not tokenizer:
        return estimate_all
    from tokenizers import Tokenizer

    from tunesmith.config import ModelConfig
    from tunesmith.models.locate import locate

    path = Path(tokenizer).expanduser()
    file = path if path.suffix == ".json" else path / "tokenizer.json"
    if not file.is_file():
        file = locate(ModelConfig(model_name_or_path=tokenizer, train_from_scratch=True)).path / "tokenizer.json"
    if not file.is_file():
        raise UserError(
            f"{tokenizer} has no tokenizer.json.",
            hint="Leave --tokenizer out: tokens are estimated.",
            field="tokenizer",
        )
    loaded = Tokenizer.from_file(str(file))
    return lambda texts: [len(each) for each in loaded.encode_batch_fast(list(texts), add_special_tokens=False)]
