"""What the hosts left, brought into the run's folder (T-45 to T-47, T-52, T-53)."""

from __future__ import annotations

import errno
import filecmp
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from byoc_cli.contract import paths
from byoc_cli.engine.types import ContainerGone, EngineGone
from byoc_cli.errors import ByocError
from byoc_cli.local.background import side_by_side
from byoc_cli.local.collect import CannotCollect, NoSpace, cannot_collect, collect, pack
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run
from byoc_cli.local.training.hosts import Host

__all__ = ["CannotCollect", "bring_up_to_date", "contents", "gather", "gather_checkpoints", "merge"]


def gather(
    hosts: Sequence[Host], run: Run, progress: Progress, *, decided_by: str, restored: Path | None = None
) -> None:
    """Fill the run's folder: of one host as it comes, of several each host's own below hosts/ and the merge of all.

    `decided_by` is the host whose failure file is the job's, `restored` the checkpoints that every host began with.

    Raises:
        NoSpace: what a host left does not fit on the disk.
        ContainerGone: somebody removed a host's container; what the others left is collected.

    """
    with _kept(hosts, run):
        if restored == run.checkpoints:  # an interrupted attempt's, in whose place the new ones come
            restored = run.restored
            restored.parent.mkdir(parents=True, exist_ok=True)
            run.checkpoints.rename(restored)
            for host in hosts:  # hard links of the same, and what this attempt removed
                shutil.rmtree(run.of_host(host.name).checkpoints, ignore_errors=True)
        _gather(hosts, run, progress, decided_by, restored)


@contextmanager
def _kept(hosts: Sequence[Host], run: Run) -> Iterator[None]:
    """Let whatever is wrong with collecting be CannotCollect, so that the containers are kept.

    What was removed of the container's mounts, and is ours, is made again.
    """
    for host in hosts:
        for folder in host.gone():
            if folder.is_relative_to(run.staging):
                with suppress(OSError):
                    folder.mkdir(parents=True)
    try:
        yield
    except (NoSpace, ContainerGone, EngineGone):
        raise
    except ByocError as error:
        why = error.message
        if gone := next((path for host in hosts for path in host.gone()), None):
            why = (
                f"what the job left cannot be collected\n{gone} is not there any more, "
                "and an engine looks into a container only with all that is mounted in it"
            )
        raise CannotCollect(why, hint=error.hint) from error
    except OSError as error:
        raise cannot_collect("what the job left", run.folder, error) from error


def _gather(hosts: Sequence[Host], run: Run, progress: Progress, decided_by: str, restored: Path | None) -> None:
    if len(hosts) == 1:
        with _named(hosts[0]):
            collect(hosts[0].container, run, progress, hosts[0].empty)
        return
    of_hosts = {host.name: run.of_host(host.name) for host in hosts}
    gone: list[ContainerGone] = []
    for host in hosts:
        try:
            with _named(host, f"; what the other hosts left is in {run.folder}"):
                collect(host.container, of_hosts[host.name], progress, host.empty, archives=False)
        except ContainerGone as error:
            gone.append(error)
    _merge_all(of_hosts, run, progress, decided_by, restored)
    if gone:
        raise gone[0]


@contextmanager
def _named(host: Host, more: str = "") -> Iterator[None]:
    """Say of whom it is that somebody removed the container."""
    try:
        yield
    except (NoSpace, EngineGone):
        raise
    except ByocError as error:
        if host.container.is_there():
            raise
        raise ContainerGone(
            f"somebody removed the container {host.container.name} before its results were collected\n"
            f"what {host.name} left is lost{more}",
            hint="docker rm or docker system prune does so: run the job again",
        ) from error


def _merge_all(of_hosts: dict[str, Run], run: Run, progress: Progress, decided_by: str, restored: Path | None) -> None:
    first = {decided_by: of_hosts[decided_by]} | of_hosts
    for part, place in (("model", paths.MODEL), ("output", paths.OUTPUT)):
        folders = {name: folder.folder / part for name, folder in first.items()}
        for relative, names in merge(folders, run.folder / part):
            if relative != Path(paths.FAILURE_FILE) or place != paths.OUTPUT:
                progress.warn(
                    f"{place}/{relative} is not the same on {' and '.join(names)}: only one of them is kept (T-47)",
                    "write it on one host only, or under the host's name",
                )
    _merge_checkpoints(first, run, progress, restored)
    (run.output / "data").mkdir(parents=True, exist_ok=True)  # a job may have removed it
    side_by_side(
        lambda: pack(run.model, run.model_tar), lambda: pack(run.output / "data", run.output_tar), abandon=lambda: None
    )


def gather_checkpoints(hosts: Sequence[Host], run: Run, progress: Progress, restored: Path | None) -> None:
    """Bring the checkpoints alone: what is left of a host that was interrupted (T-54)."""
    with _kept(hosts, run):
        _gather_checkpoints(hosts, run, progress, restored)


def _gather_checkpoints(hosts: Sequence[Host], run: Run, progress: Progress, restored: Path | None) -> None:
    for host in hosts:
        with _named(host):
            folder = run if len(hosts) == 1 else run.of_host(host.name)
            collect(host.container, folder, progress, only=paths.CHECKPOINTS)
    if len(hosts) > 1:
        _merge_checkpoints({host.name: run.of_host(host.name) for host in hosts}, run, progress, restored)


def _merge_checkpoints(of_hosts: Mapping[str, Run], run: Run, progress: Progress, restored: Path | None) -> None:
    folders = {name: folder.checkpoints for name, folder in of_hosts.items()}
    for relative, names in merge(folders, run.checkpoints, restored):
        progress.warn(
            f"{paths.CHECKPOINTS}/{relative} is not the same on {' and '.join(names)}: only one of them is kept (T-53)",
            "give checkpoints the host's name, or write them on one host only",
        )


def merge(folders: Mapping[str, Path], target: Path, restored: Path | None = None) -> list[tuple[Path, list[str]]]:
    """Merge the hosts' folders into one, by hard links; the first host that has a path gives it.

    `restored` is what all began with: a file that a host left as it was is no word against the host that went on with
    it or removed it, as the platform brings up only what changes (T-52).

    Gives each path that is not the same on all hosts that have it, and those hosts.
    """
    given: dict[Path, str] = {}
    clashes: dict[Path, list[str]] = {}
    for name, folder in folders.items():
        for path in _below(folder):
            relative = path.relative_to(folder)
            if restored and _as_restored(relative, path, restored, folders.values()):
                continue
            owner = given.setdefault(relative, name)
            if owner == name:
                _take(path, target / relative)
            elif not _same(folders[owner] / relative, path):
                clashes.setdefault(relative, [owner]).append(name)
    target.mkdir(parents=True, exist_ok=True)
    return sorted(clashes.items())


def _as_restored(relative: Path, path: Path, restored: Path, folders: Collection[Path]) -> bool:
    """Whether a host left a path as it was, and another one did not."""
    if not os.path.lexists(restored / relative) or not _same(restored / relative, path):
        return False
    return not all(
        os.path.lexists(folder / relative) and _same(restored / relative, folder / relative) for folder in folders
    )


def bring_up_to_date(folder: Path, checkpoints: Path, before: frozenset[Path]) -> None:
    """Make the user's checkpoints what the job's are now (T-52): also what the job deleted goes, of what it was given.

    `before` is what was in `folder` at the start; whatever came there meanwhile is somebody else's. All that is new is
    written beside what is there before anything is replaced.

    Raises:
        ByocError: it cannot be written; what was in `folder` is as it was.

    """
    new = folder / f".byoc-{secrets.token_hex(4)}"
    try:
        now = {path.relative_to(checkpoints): path for path in _below(checkpoints)}
        if not checkpoints.is_dir():  # somebody removed it, which tells nothing of what the job deleted
            raise FileNotFoundError(errno.ENOENT, "the job's own are gone", str(checkpoints))
        new.mkdir(parents=True)
        for relative, path in now.items():
            if path.is_dir() or not (folder / relative).is_file() or not _same(folder / relative, path):
                _take(path, new / relative, whole=True)
        for relative in sorted(before - now.keys(), reverse=True):  # what is in a folder before the folder
            with suppress(OSError):  # a folder that is not empty holds what is not the job's
                _remove(folder / relative)
        for path in list(_below(new)):
            _move(path, folder / path.relative_to(new))
    except OSError as error:
        where = error.filename2 or error.filename
        raise ByocError(
            f"the checkpoints in {folder} cannot be brought up to date\n{error.strerror}: {where}",
            hint=f"the job's are in {checkpoints}: cp -a {checkpoints}/. {folder}" if checkpoints.is_dir() else "",
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _move(path: Path, target: Path) -> None:
    is_folder, was_folder = (each.is_dir() and not each.is_symlink() for each in (path, target))
    if was_folder != is_folder and os.path.lexists(target):
        _remove(target)
    if is_folder:
        target.mkdir(exist_ok=True)
    else:
        path.replace(target)


def _remove(path: Path) -> None:
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def contents(folder: Path) -> frozenset[Path]:
    """Everything below a folder, relative to it."""
    return frozenset(path.relative_to(folder) for path in _below(folder))


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if not folder.is_symlink())


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir()
    return filecmp.cmp(one, other, shallow=False)


def _take(source: Path, target: Path, *, whole: bool = False) -> None:
    """Put a file, folder or link at `target`: a hard link where the disk can, and a copy where it has to be `whole`.

    A checkpoint that somebody goes on writing to must not change the run's.
    """
    if source.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        part.unlink(missing_ok=True)
        if whole or not _linked(source, part):
            shutil.copy2(source, part)
        part.replace(target)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that has no links
        return False
    return True
