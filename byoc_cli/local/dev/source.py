"""A project's source, and how it gets over the image's copy of it.

What the Dockerfile copies is put into each new container before its start, over what the image has there: as COPY
would, merged with all that other steps have made in the same folders, with the mode and the owner that it has in the
image, and without what .dockerignore excludes. A bind mount can do none of that, hides the rest of a folder, lets root
write into the user's tree, and of a single file loses what an editor saves by another name. What [dev] mounts names is
mounted, read-only.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from byoc_cli.contract import paths
from byoc_cli.engine import context, copies, dockerfile
from byoc_cli.engine.placement import Placement
from byoc_cli.engine.types import Container, Engine, Image, Mount
from byoc_cli.errors import UsageError, some
from byoc_cli.local.dev.archive import packed
from byoc_cli.local.dev.debugger import OFF, Debugger
from byoc_cli.local.dev.inside import Inside
from byoc_cli.local.mounts import check_mount
from byoc_cli.project import Project
from byoc_cli.project.home import expanded

LARGE_BYTES = 100_000_000

# What tools keep beside the source; vim looks with 4913 whether it can write.
_OF_TOOLS = re.compile(
    r"\.git|\.hg|\.svn|\.byoc|__pycache__|\.ipynb_checkpoints|\.venv|node_modules|\.(mypy|pytest|ruff)_cache|\.idea|\.DS_Store"
    r"|4913"
)
_TEMPORARY = re.compile(
    r".*\.py[co]|.*~|\..*\.sw[a-z]|\.#.*|#.*#|.*___jb_\w+___|\.goutputstream-.*|.*\.(crswap|kate-swp)"
)

File = tuple[str, str, int, int, int, int]
"""Target, source, and of the source: inode, mode, size, time."""


def no_source(name: str) -> bool:
    """Whether a name is none of what people write: an editor's, a tool's; the image's own copy of it stays."""
    return bool(_OF_TOOLS.fullmatch(name) or _TEMPORARY.fullmatch(name))


@dataclass(frozen=True)
class Sight:
    """The source as it looked at one moment: `files` go into the container, `build` is what only a build reads."""

    files: frozenset[File] = frozenset()
    build: frozenset[File] = frozenset()


@dataclass
class Source:
    """The source of a project, over one image's copy; `look` sees it anew, and `put` puts in what was seen last."""

    engine: Engine
    project: Project
    image: Image
    debugger: Debugger | None = None
    seen: Sight = field(default_factory=Sight)
    placement: Placement = field(default_factory=lambda: Placement({}, {}))

    def __post_init__(self) -> None:
        self.mounts: Sequence[Mount] = [
            Mount(target.rstrip("/"), str(self._stated(source)), read_only=True)
            for source, target in self.project.dev.mounts.items()
        ]
        self.use(self.image)
        if self.debugger:
            with self._inside:
                self.debugger.check(self._inside, self.image.config.environment)
        self.look()
        if not (self.placement.files or self.mounts):
            raise UsageError(
                f"no COPY of {self.project.build.dockerfile} puts a file of the project into the image as it is\n"
                f"looked for in {self.project.root}",
                hint='say it in byoc.toml: [dev] mounts = { "src" = "/opt/ml/code" }',
            )

    def _stated(self, source: str) -> Path:
        path = (self.project.root / expanded(source)).resolve()
        if not path.exists():
            raise UsageError(
                f"{self.project.file}: dev.mounts.{source} is wrong\nthere is no {path}", hint="a folder or a file"
            )
        return path

    def use(self, image: Image) -> None:
        """Go by an image, and by the Dockerfile as it is now.

        Raises:
            ByocError: the Dockerfile has no FROM; all is as it was.

        """
        file = self.project.dockerfile
        parsed = None
        if file.is_file():
            text = file.read_text("utf-8-sig", errors="replace")
            parsed = dockerfile.parse(text, self.project.build.args)
        self.image, self._dockerfile = image, parsed
        self._inside = Inside(self.engine, self.project, image)

    # -- what there is ------------------------------------------------------------------------------------------------

    def look(self) -> Sight:
        """See what there is now."""
        self._tree = context.Tree(self.project.root, self.project.dockerfile, no_source)
        with self._inside:
            self.placement = self._placement()
        root = self.project.root
        files = {*self._files((place, root / each.source) for place, each in self.placement.files.items())}
        for mount in self.mounts:
            files |= {*self._files(_below(mount))}
        build = [self.project.dockerfile, *(root / source for source in self.placement.used)]
        ignored = context.ignore_file(root, self.project.dockerfile)
        build += [ignored] if ignored else []
        self.seen = Sight(frozenset(files), frozenset(self._files(("", path) for path in build)))
        return self.seen

    def _files(self, found: Iterable[tuple[str, Path]]) -> Iterator[File]:
        for target, path in found:
            try:
                seen = path.stat()
            except OSError:  # a link that leads nowhere here, or gone just now
                try:
                    seen = path.lstat()
                except OSError:
                    continue
            yield target, str(path), seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns

    def _placement(self) -> Placement:
        file = self._dockerfile
        if file is None:
            return Placement({}, {})
        target = self.project.build.target
        found = copies.placement(
            file,
            target,
            self._tree,
            args={**dockerfile.platform_arguments(self.project.platform), **self.project.build.args},
            environment=self.image.config.environment,
            folder=self._first_folder(file, target),
            is_folder=self._inside.is_folder,
        )
        hidden = [mount.target for mount in self.mounts]
        files = {
            place: placed
            for place, placed in found.files.items()
            if not paths.of_platform(place)
            and not any(place == each or place.startswith(f"{each}/") for each in hidden)
        }
        return replace(found, files=files)

    def _first_folder(self, file: dockerfile.Dockerfile, target: str) -> str:
        """WORKDIR of the base image: the built one's where no WORKDIR changes it, else the base's, if it is here."""
        lines = [line for index in file.needed(target) for line in file.stages[index].instructions]
        if not any(line.word == "WORKDIR" for line in lines):
            return self.image.config.working_folder
        for base in file.bases(target):
            if found := self.engine.image(base):
                return found.config.working_folder
        return "/"

    # -- into a container ---------------------------------------------------------------------------------------------

    def put(self, container: Container) -> None:
        """Put what was seen into a container that was made and not started, and see that what is mounted is there.

        Raises:
            MachineError: the engine does not see this machine's files.

        """
        for mount in self.mounts:
            check_mount(container, mount, mount.target)
        if self.placement.files:
            container.put("/", packed(self.project.root, self.placement, self._inside))
        if self.debugger:
            container.put("/", self.debugger.archive())

    def environment(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return the variables that a container has beside those given."""
        if not self.debugger:
            return {}
        return self.debugger.environment({**self.image.config.environment, **given})

    @property
    def undisturbed(self) -> Mapping[str, str]:
        """Variables with which no debugger is waited for."""
        return OFF if self.debugger else {}

    @property
    def ports(self) -> Mapping[int, int]:
        """Ports of a container that are published: to the same number."""
        return {self.debugger.port: self.debugger.port} if self.debugger else {}

    # -- in words -----------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many bytes are put into each container."""
        places = self.placement.files
        return sum(size for target, _, _, _, size, _ in self.seen.files if target in places)

    def folders(self) -> dict[str, str]:
        """Say where what lies: source, relative to the project ("." itself), to target; the longest source first.

        Folders, where all of one goes to one place; else files.
        """
        pairs = {place: placed.folders(place) for place, placed in self.placement.files.items()}
        targets: dict[str, set[str]] = {}
        for source, target in pairs.values():
            targets.setdefault(source, set()).add(target)
        found = {posixpath.normpath(source): target for source, target in self.project.dev.mounts.items()}
        for place, placed in self.placement.files.items():
            source, target = pairs[place]
            found |= {source or ".": target} if len(targets[source]) == 1 else {placed.source: place}
        return dict(sorted(found.items(), key=lambda pair: (-len(pair[0].strip("./")), pair[0])))

    def mappings(self) -> dict[str, str]:
        """Say the same of people's files and folders: what of the project itself is somewhere, by its name."""
        found = self.folders()
        root = found.pop(".", None)
        for place, placed in self.placement.files.items():
            if root is not None and posixpath.join(root, placed.source) == place:
                first = placed.source.partition("/")[0]
                found[first] = posixpath.join(root, first)
        return dict(sorted(found.items()))

    def words(self) -> str:
        """Say in short what is where."""
        places: dict[str, list[str]] = {}
        for source, target in self.mappings().items():
            named = posixpath.basename(source) == posixpath.basename(target) and (self.project.root / source).is_file()
            places.setdefault(posixpath.dirname(target) if named else target, []).append(source)
        return "; ".join(f"{some(names, 4)} at {target}" for target, names in places.items())

    def names(self, files: Iterable[File]) -> set[str]:
        """Name files relative to the project."""
        return {os.path.relpath(path, self.project.root) for _, path, *_ in files}

    def not_built(self) -> list[str]:
        """Name what of the build's own files is newer than the image."""
        return sorted(self.names(file for file in self.seen.build if file[-1] / 1e9 > self.image.tagged))


def _below(mount: Mount) -> Iterator[tuple[str, Path]]:
    """Give the files of a mount: target and path."""
    root = Path(mount.source)
    if root.is_file():
        yield mount.target, root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not no_source(name)]
        for name in names:
            if not no_source(name):
                path = Path(folder, name)
                yield f"{mount.target}/{path.relative_to(root).as_posix()}", path
