"""README.md of an exported model: what it is made of, and how its files are used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.export.weights import Source
from tunesmith.runs.files import replace_text


def write_card(folder: Path, name: str, source: Source, files: Sequence[Path], *, data: Sequence[str] = ()) -> None:
    """Write the card beside the files, in the hub's form: YAML front matter, then prose. data: names of data sets.

    Folders of this machine are named by their last part: the card is read elsewhere.
    """
    ggufs = [file for file in files if file.suffix == ".gguf"]
    front = [
        "---",
        *([f"base_model: {source.repository}"] if source.repository else []),
        f"library_name: {'gguf' if ggufs and not (folder / 'config.json').is_file() else 'transformers'}",
        "pipeline_tag: text-generation",
        "tags:",
        "- tunesmith",
        *(["- gguf"] if ggufs else []),
        "---",
    ]
    made = [f"- base: `{source.repository or Path(source.base).name}`"]
    made += [f"- adapter: `{each.resolve().name}`" for each in source.adapters]
    made += [f"- trained on: `{Path(each).name}`" for each in data]
    use = [f"- `{file.name}`" for file in sorted(folder.glob("*.safetensors"))]
    if ggufs:
        use += [f"- `{file.name}`, {file.stat().st_size / 1e6:,.0f} MB" for file in ggufs]
        use += ["", "In llama.cpp: `llama-cli -m FILE`. In Ollama: `ollama create NAME -f Modelfile`."]
    if (folder / "config.json").is_file():
        use += ["", "In Python: `transformers.AutoModelForCausalLM.from_pretrained(FOLDER)`."]
    body = ["", f"# {name}", "", "Exported by Tunesmith from:", "", *made, "", "## Files", "", *use, ""]
    replace_text(folder / "README.md", "\n".join([*front, *body]))
