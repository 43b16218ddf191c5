"""The Modelfile beside exported files, and the model on the user's Ollama server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.config import Job
from tunesmith.finding import Finding
from tunesmith.i18n import tr
from tunesmith.jobs.opened import Opened, is_model, progress
from tunesmith.text.conversation import Conversation
from tunesmith.text.rows import RowError

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.export.modelfile import Modelfile

_DEFAULT_CONTEXT = 4096  # tokens a conversation may have where the model takes more; Ollama reserves memory for them


def write_modelfile(job: Job, model: Opened, written: Sequence[Path]) -> Modelfile | None:
    """The Modelfile beside the first GGUF file; None where there is none."""
    from tunesmith.export.modelfile import NATIVE_JINJA, Modelfile, sampling_parameters

    files = [path for path in written if path.is_file() and is_model(path)]
    if not files:
        return None
    template, longest = model.template, model.source.config.get("max_position_embeddings") or _DEFAULT_CONTEXT
    go = _go_template(job, model)
    sampling = {
        name: getattr(job.generation, name)
        for name in ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty")
    }
    made = Modelfile(
        _best(files).name,
        system=job.data.default_system or "",
        parameters=sampling_parameters(
            stop=template.stop_words, num_ctx=min(longest, max(_DEFAULT_CONTEXT, job.data.cutoff_len)), **sampling
        ),
        template=go,
        license=_license(model.source.folder),
        requires="" if go else NATIVE_JINJA,
    )
    made.write(model.folder)
    return made


def _license(folder: Path) -> str:
    """The licence that came with the base."""
    found = sorted(file for file in folder.iterdir() if file.name.upper().startswith(("LICENSE", "LICENCE")))
    return found[0].read_text(encoding="utf-8", errors="replace") if found else ""


def _best(files: Sequence[Path]) -> Path:
    """The file that Ollama gets: the first that is quantized, where one is."""
    plain = ("-f32", "-f16", "-bf16")
    return next((file for file in files if not file.stem.endswith(plain)), files[0])


def _go_template(job: Job, model: Opened) -> str:
    """For servers before 0.30, which don't read the template inside the file; "" where Go can't say the same.

    It would win on newer ones too, and has no tools: where the model's template calls tools there is none.
    """
    from tunesmith.export.go_template import derive_go_template

    template = model.template
    if "tools" in template.source:
        return ""
    thinking = job.data.enable_thinking if template.reasons else None
    return derive_go_template(template, thinking=thinking, bos=model.bos).text or ""


def by_hand(model: Opened, name: str) -> str:
    """The command that creates the model in Ollama from its Modelfile."""
    from tunesmith.export.modelfile import model_name

    return f'ollama create {model_name(name)[0]} -f "{model.folder / "Modelfile"}"'


def deploy(job: Job, model: Opened, modelfile: Modelfile, console: Console) -> list[Finding]:
    """The model on the user's Ollama server, its prompts compared with ours."""
    from tunesmith.export.modelfile import model_name
    from tunesmith.export.ollama import Ollama
    from tunesmith.export.verify import CONVERSATIONS

    name, note = model_name(job.export.export_ollama or "")
    for sentence in [note, *modelfile.notes()]:
        if sentence:
            console.print(f"{tr('note')}  {sentence}", markup=False)
    thinking = job.data.enable_thinking

    def can_be_written(conversation: Conversation) -> bool:
        """Some templates have no place for a system message."""
        try:
            model.template.render(conversation, generation_prompt=True, thinking=thinking)
        except RowError:
            return False
        return True

    command = by_hand(model, name)
    with Ollama(by_hand=command) as server, progress(console, tr("creating {name}").format(name=name)) as report:
        server.install(name, modelfile, model.folder, lambda what, done, total: report(done, total))
        findings = server.check_prompt(
            name, [each for each in CONVERSATIONS if can_be_written(each)],
            lambda each: model.template.render(each, generation_prompt=True, thinking=thinking).text,
            bos=model.bos, think=thinking,
        )  # fmt: skip
    for finding in findings:
        console.print(f"{finding.status}  {finding.what}  {finding.detail}", markup=False)
    console.print(tr("In Ollama: ollama run {name}").format(name=name))
    return findings
