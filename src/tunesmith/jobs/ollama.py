"""The Modelfile beside exported files, and the model on the user's Ollama server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.config import Job
from tunesmith.errors import UserError
from tunesmith.finding import Finding
from tunesmith.i18n import tr, translated
from tunesmith.jobs.opened import Opened, is_model, progress, targets
from tunesmith.text.conversation import Conversation
from tunesmith.text.rows import RowError

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.export.modelfile import Modelfile

_DEFAULT_CONTEXT = 4096  # tokens a conversation may have where the model takes more; Ollama reserves memory for them


def plan_modelfile(job: Job, model: Opened, names: Sequence[str]) -> tuple[Modelfile | None, list[str]]:
    """The Modelfile for these GGUF files, and sentences on what it can't hold; None where there are none.

    UserError for a system prompt that its grammar has no way to write. With export_ollama that is told and no more,
    since the server takes any text.
    """
    from tunesmith.export.modelfile import NATIVE_JINJA, Modelfile

    adapter = _on_top(job, names)
    if not adapter and not any(is_model(Path(name)) for name in names):
        return None, []
    go = _go_template(job, model)
    made = Modelfile(
        job.export.export_ollama_base or "" if adapter else _best([name for name in names if is_model(Path(name))]),
        system=job.data.default_system or "",
        parameters=_parameters(job, model),
        template=go,
        adapter=adapter,
        license="" if adapter else _license(model.source.folder),
        requires="" if go or adapter else NATIVE_JINJA,
    )
    if go and not _can_be_written(replace(made, system="", license="")):
        made = replace(made, template="", requires="" if adapter else NATIVE_JINJA)
    notes = []
    if made.license and not _can_be_written(replace(made, system="")):
        notes.append("A Modelfile has no way to write the base's licence; it lies beside it and is not in it.")
        made = replace(made, license="")
    try:
        made.text()
    except UserError as error:
        if not job.export.export_ollama:
            raise
        notes.append(f"{error.message} None is written; the server gets the text as it stands.")
    if not job.export.export_ollama:  # the file is for Ollama's own parser, which drops some characters
        notes += made.notes()
    return made, notes


def write_modelfile(job: Job, model: Opened, written: Sequence[Path]) -> Modelfile | None:
    """The Modelfile beside the exported files, where they want one and it can be written."""
    made, _ = plan_modelfile(job, model, [path.name for path in written if path.is_file()])
    if made is not None and _can_be_written(made):
        made.write(model.folder)
    return made


def _can_be_written(made: Modelfile) -> bool:
    try:
        made.text()
    except UserError:
        return False
    return True


def _on_top(job: Job, names: Sequence[str]) -> str:
    """The adapter that goes on top of a model that the server has; "" where a whole model is there."""
    if not job.export.export_ollama or "gguf" in targets(job):
        return ""
    return next((name for name in names if name.endswith("-lora.gguf")), "")


def _parameters(job: Job, model: Opened) -> dict[str, str | int | float | bool | Sequence[str]]:
    from tunesmith.export.gguf.metadata import text_config
    from tunesmith.export.modelfile import sampling_parameters

    longest = text_config(model.source.config).get("max_position_embeddings") or _DEFAULT_CONTEXT
    sampling = {
        name: getattr(job.generation, name)
        for name in ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty")
    }
    stop, context = model.template.stop_words, min(longest, max(_DEFAULT_CONTEXT, job.data.cutoff_len))
    return sampling_parameters(stop=stop, num_ctx=context, **sampling)


def _license(folder: Path) -> str:
    """The licence that came with the base."""
    found = sorted(file for file in folder.iterdir() if file.name.upper().startswith(("LICENSE", "LICENCE")))
    return found[0].read_text(encoding="utf-8", errors="replace") if found else ""


def _best(files: Sequence[str]) -> str:
    """The file that Ollama gets: the first that is quantized, where one is."""
    plain = ("-f32.gguf", "-f16.gguf", "-bf16.gguf")
    return next((file for file in files if not file.endswith(plain)), files[0])


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
    """The command that creates the model in Ollama from what was written."""
    from tunesmith.export.modelfile import create_command

    return create_command(name, model.folder / "Modelfile")


def check_server(job: Job, model: Opened) -> str:
    """What the plan says of the server. UserError where none answers, or it can't serve what will be made."""
    from tunesmith.export.modelfile import model_name
    from tunesmith.export.ollama import CREATES_FROM_FILES, Ollama

    name, alone = model_name(job.export.export_ollama or "")[0], "gguf" not in targets(job)
    if alone and not job.export.export_ollama_base:
        raise UserError(
            "An adapter alone goes on top of a model that the Ollama server has, and none is named.",
            hint="Add --ollama-base qwen2.5:7b, the model that the adapter was trained on; or export --to gguf.",
            field="export_ollama_base",
        )
    without = f"export without --ollama, and later: {by_hand(model, name)}"
    with Ollama(by_hand=without) as server:
        server.at_least(CREATES_FROM_FILES, "makes models from uploaded files")
        version = server.version()
        if alone:
            server.show(job.export.export_ollama_base or "")
        told = tr("  Ollama {version} at {address}: {name}").format(version=version, address=server.address, name=name)
    return told


def deploy(job: Job, model: Opened, modelfile: Modelfile, console: Console) -> list[Finding]:
    """The model on the user's Ollama server, its prompts compared with ours."""
    from tunesmith.export.modelfile import model_name
    from tunesmith.export.ollama import Ollama
    from tunesmith.export.verify import CONVERSATIONS

    name, note = model_name(job.export.export_ollama or "")
    for sentence in [note, *modelfile.notes()]:
        if sentence:
            console.print(f"{tr('note')}  {translated(sentence)}", markup=False)
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
        console.print(f"{finding.status}  {translated(finding.what)}  {translated(finding.detail)}", markup=False)
    if any(finding.status == "fail" for finding in findings):
        told = tr("{name} is in Ollama, and does not ask as it was trained. Take it out again: ollama rm {name}")
    else:
        told = tr("In Ollama: ollama run {name}")
    console.print(told.format(name=name))
    return findings
