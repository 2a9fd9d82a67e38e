"""Template folders: which there are, what belongs to one, and a copy of it.

A template is a folder with a Dockerfile; adding one to `templates/` is all there is to do. What git ignores in it does
not belong to it. A wheel has them in the package itself: scripts/hatch_build.py puts there what `files` says.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from byoc_cli.errors import ByocError, UsageError

IN_WHEEL = "_templates"
_MADE_HERE = frozenset({"__pycache__", ".byoc", ".git"})
_NAMES_SHOWN = 8
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Template:
    """`about` is the one sentence of its README's heading; `commands` are those of the README's first console block."""

    name: str
    folder: Path
    about: str
    commands: tuple[str, ...]


def home() -> Path:
    """Return the folder of all templates: of the package, or of the checkout that it is in.

    Raises:
        ByocError: there is none: the installation is not whole.

    """
    for folder in (Path(__file__).with_name(IN_WHEEL), Path(__file__).parents[1] / "templates"):
        if folder.is_dir():
            return folder
    raise ByocError("byoc's templates are not here: the installation is not whole", hint="install byoc again")


def available(folder: Path | None = None) -> list[Template]:
    """Return all templates by their names; `folder` is where they lie, `home()` without it."""
    found = sorted(path for path in (folder or home()).iterdir() if path.name[0] not in "._")
    return [read(path) for path in found if (path / "Dockerfile").is_file()]  # a folder may be what another branch left


def read(folder: Path) -> Template:
    """Read what a template, or a project that was made of one, says of itself in its README."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    about = re.match(r"# [^:\n]+: (.+)", text)
    block = re.search(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = (re.match(r"\$ (.*?)(?:\s+#.*)?$", line) for line in (block[1] if block else "").splitlines())
    return Template(folder.name, folder, about[1].strip() if about else "", tuple(line[1] for line in lines if line))


def find(name: str, templates: Sequence[Template]) -> Template:
    """Return the template of that name.

    Raises:
        UsageError: there is none; names the nearest, or all.

    """
    names = [template.name for template in templates]
    if name in names:
        return templates[names.index(name)]
    near = difflib.get_close_matches(name.lower().replace("_", "-"), names, 1, cutoff=0.4)
    near = near or [each for each in names if name and name.lower() in each]
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
    raise UsageError(f"there is no template '{name}'", hint=hint)


# -- what belongs to a template ---------------------------------------------------------------------------------------


def files(folder: Path, top: Path) -> list[Path]:
    """Return the files of a template, relative to `folder`, which may be a symbolic link.

    In a checkout, whose folder `top` is, git says which: what is tracked, or would be. A source archive and a wheel
    have no others; what was made in them since (bytecode by pip, runs by byoc) is left out.

    Raises:
        ByocError: git cannot say it.

    """
    folder = folder.resolve()
    if (top / ".git").exists():
        names = {Path(name) for name in _git_files(folder)}
    else:
        names = {path.relative_to(folder) for path in folder.rglob("*")}
    return sorted(name for name in names if (folder / name).is_file() and _MADE_HERE.isdisjoint(name.parts))


def _git_files(folder: Path) -> list[str]:
    words = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # a hook's, of elsewhere
    try:
        return os.fsdecode(subprocess.run(words, env=own, capture_output=True, check=True).stdout).split("\0")[:-1]
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.strerror if isinstance(error, OSError) else error.stderr.decode(errors="replace").strip()
        hint = "install git, or byoc from its wheel"
        raise ByocError(f"git cannot say which files are in {folder}\n{said}", hint=hint) from error


# -- a copy -----------------------------------------------------------------------------------------------------------


def copy(template: Template, target: Path, log: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Copy a template into `target`, which is made if it is not there; returns the files, relative to it.

    All or nothing: what is there already is never touched, and whatever goes wrong leaves what was there before.

    Raises:
        UsageError: files are in the way, or `target` is no folder.
        ByocError: it cannot be written.

    """
    names = files(template.folder, template.folder.parent.parent)
    _refuse(target, names)
    made: list[Path] = []
    try:
        for name in names:
            for parent in reversed((target / name).parents):
                _make_folder(parent, made)
            _copy_file(template.folder / name, target / name, made)
            log(str(name))
    except BaseException as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if not isinstance(error, OSError):
            raise
        raise ByocError(
            f"the template cannot be copied, and nothing is left of it\n{error.filename or target}: {error.strerror}",
            hint="give a folder that you may write to, with space: byoc init DIR",
        ) from error
    return names


def in_the_way(names: Sequence[Path], target: Path) -> list[Path]:
    """Return what a copy would have to replace, or to write through: files, links, and links to folders."""
    found: list[Path] = []
    for name in names:
        for parent in reversed(name.parents[:-1]):
            here = target / parent
            if os.path.lexists(here) and (here.is_symlink() or not here.is_dir()):
                found.append(parent)
                break
        else:
            if os.path.lexists(target / name):
                found.append(name)
    return list(dict.fromkeys(found))


def _refuse(target: Path, names: Sequence[Path]) -> None:
    there = next((path for path in [target, *target.parents] if os.path.lexists(path)), target)
    if os.path.lexists(there) and not there.is_dir():
        raise UsageError(f"{there} is there already, and no folder", hint="give another folder: byoc init DIR")
    if found := in_the_way(names, target):
        shown = [f"  {path}" for path in found[:_NAMES_SHOWN]]
        more = [f"  and {len(found) - _NAMES_SHOWN} more"] if len(found) > _NAMES_SHOWN else []
        said = "\n".join([*shown, *more])
        hint = "move them, or give another folder: byoc init DIR"
        raise UsageError(f"nothing is copied: in {target} there is already\n{said}", hint=hint)


def _make_folder(folder: Path, made: list[Path]) -> None:
    if not folder.is_dir():
        _make(folder, made, folder.mkdir)


def _copy_file(source: Path, target: Path, made: list[Path]) -> None:
    """Copy one file as git would check it out: it can be executed or not, the rest is the umask's."""
    content = source.read_bytes()
    mode = 0o777 if source.stat().st_mode & 0o111 else 0o666
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(_make(target, made, lambda: os.open(target, flags, mode)), "wb") as file:  # noqa: PTH123 - of a handle
        file.write(content)


def _make(path: Path, made: list[Path], make: Callable[[], _Made]) -> _Made:
    """Make it, written down before, for a Ctrl-C may come in between; what somebody else just made is not ours."""
    made.append(path)
    try:
        return make()
    except FileExistsError:
        made.pop()
        raise
