"""`byoc dev train`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from byoc_cli.commands import local_train
from byoc_cli.commands import train_options as options
from byoc_cli.commands.dev_source import DebugPortOption, found
from byoc_cli.commands.options import Outcome, Session
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.engine.types import Image
    from byoc_cli.local.dev.source import Source
    from byoc_cli.project import Project

EXAMPLES = """
  byoc dev train
  byoc dev train --hyperparam train-steps=100 --channel training=./data
  byoc dev train --debug-port 5678
"""

_Function = TypeVar("_Function", bound=Callable[..., Outcome])


def _with_options_of(other: Callable[..., Outcome], *, without: Sequence[str] = ()) -> Callable[[_Function], _Function]:
    """Give a command function, which takes them as `**given`, all options of another one."""

    def decorate(function: _Function) -> _Function:
        _, *theirs = inspect.signature(other, eval_str=True).parameters.values()
        session, *own = inspect.signature(function, eval_str=True).parameters.values()
        added = [
            *(one for one in theirs if one.name not in without),
            *(one for one in own if one.kind != one.VAR_KEYWORD),
        ]
        parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in added]
        function.__signature__ = inspect.Signature([session, *parameters])  # type: ignore[attr-defined]
        return function

    return decorate


@_with_options_of(local_train.local_train, without=("image", "build"))
def dev_train(session: Session, debug_port: DebugPortOption = None, **given: Any) -> Outcome:
    """Train as `byoc local-train` does, with the source as it is now: an edit needs no build.

    Where which file goes is read from the Dockerfile's COPY lines, or stated in byoc.toml ([dev] mounts). All else is
    as in the image, which is built if it is not there; what only a build changes (requirements.txt) is warned of.

    With --json: what `byoc local-train` prints, and Dev: its Source says which file or folder of the project was where.
    """
    from byoc_cli.commands.shell import attach_to_failed

    attach = attach_to_failed(session) if given.pop("shell_on_failure") else None
    said = options.Given(platform_files=not given.pop("no_platform_files"), profile=given.pop("as_"), **given)

    def find(project: Project) -> tuple[str, Image, Source]:
        hosts = said.instance_count or project.train.instance_count
        if debug_port and hosts > 1:
            raise UsageError(f"--debug-port is for one host, and there are {hosts}", hint="--instance-count 1")
        if debug_port and said.network_isolation:
            raise UsageError("--debug-port: nobody reaches a container without a network", hint="leave one of them out")
        return found(session, project, debug_port)

    return local_train.run(session, said, "", find, attach)
