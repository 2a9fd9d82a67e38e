"""The sources of a program of the image: the file that is started, and what it imports, starts or names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from byoc_cli.adopt.sketch import Sketch, vendored
from byoc_cli.adopt.stages import words_of
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.static.programs import Start
from byoc_cli.contract import hosting

_MOST_FILES = 60
_MOST_TEXTS = 1000
_MOST_BYTES = 256 << 10
_IMPORTS = re.compile(r"^\s*(?:from|import)\s+([\w., ]+)", re.MULTILINE)
_DATA = (".csv", ".json", ".txt", ".pkl", ".md", ".ipynb", ".npy", ".parquet", ".html")


@dataclass(frozen=True)
class Source:
    """A text of the image: where it lies there and here."""

    path: str
    file: Path
    text: str

    @property
    def language(self) -> str:
        """The language of its first line, or of its name: python, shell or ""."""
        first = self.text.partition("\n")[0]
        if self.path.endswith(".py") or (first.startswith("#!") and "python" in first):
            return "python"
        if self.path.endswith(".sh") or re.match(r"#!.*\b(?:ba|da|a|k|z)?sh\b", first):
            return "shell"
        no_shebang = not first.startswith("#!")
        return (
            "python"
            if no_shebang and re.search(r"^(?:import \w+|from [\w.]+ import )", self.text, re.MULTILINE)
            else ""
        )

    def line_of(self, pattern: str) -> int:
        """The line of the first match; 1 where there is none."""
        found = re.search(pattern, self.text)
        return self.text.count("\n", 0, found.start()) + 1 if found else 1


@dataclass(frozen=True)
class Chain:
    """A program's sources, the one that is started first; empty where they are not to be seen here.

    `init` says that another program is PID 1, or may be; `configured` is what the image's configuration tells it.
    """

    word: str
    sources: Sequence[Source] = ()
    init: bool = False
    configured: str = ""

    @property
    def first(self) -> Source:
        """What is started."""
        return self.sources[0]

    @property
    def text(self) -> str:
        """All of them."""
        return "\n".join(source.text for source in self.sources)

    def where(self, pattern: str) -> tuple[Source, re.Match[str]] | None:
        """The first match of a pattern, and whose it is; comments do not count."""
        for source in self.sources:
            for found in re.finditer(pattern, source.text, re.MULTILINE):
                before = source.text[source.text.rfind("\n", 0, found.start()) + 1 : found.start()]
                if "#" not in before:
                    return source, found
        return None


def of(sketch: Sketch, facts: ImageFacts, word: str) -> Chain:
    """Follow a program's sources as far as they were copied from here.

    Where nothing is started by `serve`, CMD may name the server all the same.
    """
    start = facts.train if word == "train" else facts.serve
    texts = _texts(sketch, _roots(start))
    if start.by_entrypoint and not start.speaks_of(word) and not _has_file_of(word, texts):
        return Chain(word)  # what ENTRYPOINT does with the word is not to be seen
    roots = [path for path in _roots(start) if path in texts]
    if not roots and word == hosting.COMMAND:
        roots = _of_command(sketch, texts)
    config = sketch.stage.config
    configured = "\n".join((*config.environment.values(), config.working_folder, *config.entrypoint))
    own_init = bool(start.init) or not (config.entrypoint or sketch.base_is_plain)
    return Chain(word, list(_closure(roots, texts)), own_init, configured)


def _has_file_of(word: str, texts: Mapping[str, Source]) -> bool:
    return any(posixpath.splitext(posixpath.basename(path))[0] == word for path in texts)


def _roots(start: Start) -> list[str]:
    programs = (start.script, start.program, start.on_path)
    elsewhere = [start.elsewhere] if start.elsewhere else []
    return [each.path for each in programs if each and each.path] + elsewhere


def _of_command(sketch: Sketch, texts: Mapping[str, Source]) -> list[str]:
    """The file that CMD runs: `python app.py`, `gunicorn app:app`, `python -m app`."""
    config = sketch.stage.config
    for word in words_of(config.command):
        name = word.partition(":")[0]
        for candidate in (name, f"{name.replace('.', '/')}.py"):
            path = posixpath.normpath(posixpath.join(config.working_folder or "/", candidate))
            if path in texts:
                return [path]
    return []


def _texts(sketch: Sketch, started: Sequence[str]) -> dict[str, Source]:
    """All texts that COPY brings, but for data; of very many what is started, and then the least deep."""
    found: dict[str, Source] = {}
    for path in sorted(sketch.stage.files, key=lambda each: (each not in started, each.count("/"))):
        copied = sketch.stage.files[path]
        if len(found) == _MOST_TEXTS:
            break
        if path.endswith(_DATA) or vendored(path) or copied.source.stat().st_size > _MOST_BYTES:
            continue
        try:
            data = copied.source.read_bytes()
        except OSError:
            continue
        if b"\0" not in data:
            found[path] = Source(path, copied.source, data.decode("utf-8-sig", errors="replace"))
    return found


def _closure(roots: Sequence[str], texts: Mapping[str, Source]) -> Iterator[Source]:
    waiting, seen = list(dict.fromkeys(roots)), set[str]()
    while waiting and len(seen) < _MOST_FILES:
        path = waiting.pop(0)
        if path not in seen:
            seen.add(path)
            yield texts[path]
            waiting += [other for other in texts if other not in seen and _names(texts[path].text, other)]


def _names(text: str, path: str) -> bool:
    """Whether a source names a file: by its name (train.py, nginx.conf, sub/train), as a module, or as app:app."""
    folder, name = posixpath.split(path)
    stem, suffix = posixpath.splitext(name)
    if stem not in text and not (stem == "__init__" and posixpath.basename(folder) in text):
        return False
    if suffix and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text):
        return True
    if not suffix and re.search(rf"{re.escape(posixpath.basename(folder))}/{re.escape(name)}(?![\w./-])", text):
        return True
    if suffix != ".py":
        return False
    module = posixpath.basename(folder) if stem == "__init__" else stem
    imported = {part for names in _IMPORTS.findall(text) for part in re.split(r"[.,\s]+", names)}
    return module in imported or bool(
        re.search(rf"(?<![\w]){re.escape(module)}:\w|-m\s+\S*\b{re.escape(module)}\b", text)
    )
