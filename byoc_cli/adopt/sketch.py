"""The image that a Dockerfile would make, as far as it can be told without building it.

Files that COPY brings are those of this machine. What a base image or a RUN line brings is not known: programs in
folders of programs are taken to be there, and so is whatever a RUN line speaks of, so that nobody is told to mend
what is not broken.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from byoc_cli.adopt.stages import Copied, Stage
from byoc_cli.check.static.facts import ImageFacts, describe
from byoc_cli.contract import hosting, training
from byoc_cli.engine.types import DEFAULT_PATH, FileStat, Image
from byoc_cli.local.building import mended

COMMANDS = (training.COMMAND, hosting.COMMAND)
_HEAD_BYTES = 64 << 10
_FOLDER = 1 << 31 | 0o755
_VENDORED = frozenset({".git", "node_modules", ".venv", "venv", "site-packages", "__pycache__", ".tox", ".byoc"})
_MACHINES = {"amd64": 0x3E, "arm64": 0xB7}
_TOOLKIT = re.compile(r"\bsagemaker[-_](?:[a-z]+[-_])?(?:training|inference|containers)\b")
# Images of distributions, languages and frameworks: they bring neither `train` nor `serve`.
_PLAIN_BASE = re.compile(
    r"(?:(?:docker\.io|public\.ecr\.aws/docker|registry-1\.docker\.io)/)?(?:library/)?"
    r"(?:python|pypy|ubuntu|debian|alpine|amazonlinux|fedora|busybox|node|golang|rust|ruby|perl|julia|r-base|openjdk|"
    r"eclipse-temurin|amazoncorretto|buildpack-deps|scratch|byoc-base|"
    r"tensorflow/tensorflow|pytorch/pytorch|(?:nvcr\.io/)?nvidia/cuda|rocker/[\w-]+|continuumio/[\w-]+|"
    r"condaforge/[\w-]+|mambaorg/[\w-]+)(?:[:@].*)?"
)


@dataclass(frozen=True)
class Sketch:
    """An image that is not built yet: its configuration, and its files as `check` looks at them (`Files`)."""

    stage: Stage
    architecture: str

    @property
    def image(self) -> Image:
        """As the engine would describe it."""
        labels = self.stage.labels
        return Image("", [], [], 0, self.architecture, "linux", 0, labels, self.stage.config.user, self.stage.config)

    @cached_property
    def commands(self) -> str:
        """All RUN lines, without those parts that only change modes."""
        return re.sub(r"\b(?:chmod|chown)\b[^&;|\n]*", "", "\n".join(line.text for line in self.stage.runs))

    @cached_property
    def toolkit(self) -> str:
        """Where one of SageMaker's toolkits is installed: the RUN line's or a file's words; "" nowhere."""
        texts = [self.commands, *(_read(each.source) for each in self._packages())]
        return next((found[0] for text in texts if (found := _TOOLKIT.search(text))), "")

    def with_folders(self, facts: ImageFacts) -> ImageFacts:
        """Describe it once more, the folders on PATH in which `train` and `serve` lie without being found (T-01)."""
        folders = [posixpath.dirname(start.elsewhere) for start in facts.starts if start.elsewhere in self.stage.files]
        if not folders:
            return facts
        path = ":".join([*folders, self.stage.config.environment.get("PATH", DEFAULT_PATH)])
        config = replace(self.stage.config, environment={**self.stage.config.environment, "PATH": path})
        return describe(self, replace(self.image, config=config), self.architecture)

    @property
    def base_is_plain(self) -> bool:
        """Whether the base is one that brings neither `train` nor `serve`."""
        return bool(_PLAIN_BASE.fullmatch(self.stage.base))

    def maybe(self, word: str) -> bool:
        """Whether `train` or `serve` may come from where it is not seen: the base, a RUN line, an installed package."""
        if any(posixpath.basename(path) == word for path in self.stage.files):
            return False
        if not self.base_is_plain or self.toolkit:
            return True
        named = re.search(rf"(?<![\w.-]){word}(?![\w.-])", self.commands)
        script = any(re.search(rf"^\W*{word}\W*\s*=", _read(each.source), re.MULTILINE) for each in self._packages())
        built = any(posixpath.basename(each) == word or self._fills_path(each) for each in self.stage.built)
        return bool(named or script or built)

    def _fills_path(self, built: str) -> bool:
        folders = self.stage.config.environment.get("PATH", DEFAULT_PATH).split(":")
        return any(f"{folder}/".startswith(f"{built.rstrip('/')}/") for folder in folders)

    @cached_property
    def _folders(self) -> frozenset[str]:
        """All folders in which a copied file lies, at any depth."""
        found = set[str]()
        for path in self.stage.files:
            while (path := posixpath.dirname(path)) not in found and path != "/":
                found.add(path)
        return frozenset(found)

    def _packages(self) -> Iterator[Copied]:
        for path, copied in self.stage.files.items():
            name = posixpath.basename(path)
            says = name in {"setup.py", "setup.cfg", "pyproject.toml"} or fnmatch(name, "*requirements*.txt")
            if says and not vendored(path):
                yield copied

    # -- check.static.files.Files ------------------------------------------------------------------------------------

    def real(self, path: str) -> tuple[str, FileStat] | None:
        """Look at a path."""
        path = posixpath.normpath(path)
        name = posixpath.basename(path)
        if copied := self.stage.files.get(path):
            return path, FileStat(name, copied.source.stat().st_size, self._mode(path, copied))
        if path in self._folders:
            return path, FileStat(name, 0, _FOLDER)
        return (path, FileStat(name, 1, 0o755)) if self._taken_to_be_there(path) else None

    def is_there(self, path: str) -> bool:
        """Whether something is there, or is taken to be."""
        return self.real(path) is not None

    def head(self, path: str) -> bytes:
        """Read how a file begins; of what is only taken to be there, the header of a binary."""
        copied = self.stage.files.get(posixpath.normpath(path))
        if copied is None:
            machine = _MACHINES.get(self.architecture, 0x3E)
            return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 2, machine) + bytes(44)
        with copied.source.open("rb") as opened:
            data = opened.read(_HEAD_BYTES)
        return data.replace(b"\r\n", b"\n") if mended(self.stage.runs, path, r"dos2unix|\\r") else data

    def listing(self, folder: str) -> list[str]:
        """Name the copied files below a folder."""
        inside = f"{folder.rstrip('/')}/"
        return [path.removeprefix(inside) for path in self.stage.files if path.startswith(inside)]

    def made_executable(self, path: str) -> bool:
        """Whether a RUN line changes a file's mode."""
        return mended(self.stage.runs, path, r"\bchmod\b")

    def _mode(self, path: str, copied: Copied) -> int:
        return copied.mode | 0o111 if self.made_executable(path) else copied.mode

    def _taken_to_be_there(self, path: str) -> bool:
        folder, name = posixpath.split(path)
        below_built = any(f"{path}/".startswith(f"{each.rstrip('/')}/") for each in self.stage.built)
        if name in COMMANDS:
            return (below_built or posixpath.basename(folder) in {"bin", "sbin"}) and self.maybe(name)
        if name.startswith(("nvidia", "lib")):
            return False
        if posixpath.basename(folder) in {"bin", "sbin"}:
            return True
        if below_built or re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", self.commands):
            return True
        return folder not in self._folders and not self.base_is_plain and path in self.stage.config.entrypoint


def vendored(path: str) -> bool:
    """Whether a file is somebody else's: of git, of an environment, of installed packages."""
    return not _VENDORED.isdisjoint(path.split("/"))


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(_HEAD_BYTES).decode(errors="replace")
