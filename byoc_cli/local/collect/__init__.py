"""Bring back what a job left, over the engine's archive API: the user's own files, whatever the container ran as."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from byoc_cli.contract import paths
from byoc_cli.engine.types import Container, FileStat
from byoc_cli.errors import ByocError
from byoc_cli.local.background import side_by_side
from byoc_cli.local.collect.archive import open_archive, pack
from byoc_cli.local.collect.unpack import CannotCollect, NoSpace, cannot_collect, fetch
from byoc_cli.local.progress import Progress
from byoc_cli.local.runs import Run

__all__ = ["CannotCollect", "NoSpace", "cannot_collect", "collect", "look", "pack"]


def look(container: Container, *, restored: bool = False) -> Mapping[str, FileStat | None]:
    """Look at the folders that most jobs leave empty, before the start: `collect` passes over those that still are.

    `restored` says that there are checkpoints: an unchanged folder of them is not an empty one.
    """
    empty = (paths.OUTPUT, paths.OUTPUT_DATA, *(() if restored else (paths.CHECKPOINTS,)))
    return {path: container.stat(path) for path in empty}


def collect(
    container: Container,
    run: Run,
    progress: Progress,
    empty: Mapping[str, FileStat | None] | None = None,
    *,
    archives: bool = True,
    only: str = "",
) -> None:
    """Fill model/, model.tar.gz, output/, output.tar.gz and checkpoints/ of a run.

    `empty` is what `look` saw: to look takes an engine a tenth of the time in which it packs an empty folder.
    Without `archives` nothing is packed; `only` is the one folder of the container that is wanted.

    Raises:
        NoSpace: before the file that would not fit.
        CannotCollect: a folder that cannot be written to, an answer of the engine that broke off.
        ContainerGone: somebody removed the container.

    """
    abandoned = threading.Event()
    with progress.bytes_done("collecting the artifacts") as count:

        def advance(amount: int) -> None:
            if abandoned.is_set():
                raise ByocError("the artifacts were given up")
            count(amount)

        def model() -> None:
            fetch(container, paths.MODEL, run.model, progress, advance, archive=run.model_tar if archives else None)

        def output() -> None:
            archive = run.output_tar if archives else None
            if all(_untouched(container, path, empty) for path in (paths.OUTPUT, paths.OUTPUT_DATA)):
                (run.output / "data").mkdir(parents=True, exist_ok=True)
                if archive:
                    with open_archive(archive):
                        pass
            else:
                fetch(container, paths.OUTPUT, run.output, progress, advance, archive=archive, archived="data")

        def checkpoints() -> None:
            if _untouched(container, paths.CHECKPOINTS, empty):
                run.checkpoints.mkdir(parents=True, exist_ok=True)
            else:
                fetch(container, paths.CHECKPOINTS, run.checkpoints, progress, advance)

        parts: dict[str, Callable[[], None]] = {
            paths.MODEL: model,
            paths.OUTPUT: output,
            paths.CHECKPOINTS: checkpoints,
        }
        side_by_side(*([parts[only]] if only else parts.values()), abandon=abandoned.set)


def _untouched(container: Container, path: str, empty: Mapping[str, FileStat | None] | None) -> bool:
    """Whether an empty folder still is: whatever is put into it moves the folder's own time.

    Not believed where the file system counts in whole seconds.
    """
    then = empty.get(path) if empty else None
    return then is not None and "." in then.modified and container.stat(path) == then
