"""`byoc dev train` and `byoc dev serve`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from byoc_cli.commands import hosted, local_train
from byoc_cli.commands import train_options as options
from byoc_cli.commands.options import EnvFileOption, EnvOption, ModelOption, Outcome, Session, region
from byoc_cli.commands.serve_containers import containers, definitions, given_models
from byoc_cli.contract import hosting
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.engine.types import Image
    from byoc_cli.local.dev.source import Source
    from byoc_cli.local.hosting import Endpoint
    from byoc_cli.project import Project

EXAMPLES = """
  byoc dev train --hyperparam train-steps=100
  byoc dev serve
"""

TRAIN_EXAMPLES = """
  byoc dev train
  byoc dev train --hyperparam train-steps=100 --channel training=./data
  byoc dev train --debug-port 5678
"""

SERVE_EXAMPLES = """
  byoc dev serve
  byoc dev serve --model ./model.tar.gz --port 9000
  byoc dev serve --debug-port 5678
"""

_Function = TypeVar("_Function", bound=Callable[..., Outcome])

_LONG_SECONDS = 7 * 86_400.0  # whoever waits for a debugger is a person

DebugPortOption = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        min=1024,
        max=65535,
        help="Wait on that port of 127.0.0.1 for a debugger (debugpy), and print what VS Code needs to attach.",
        show_default=False,
    ),
]


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
def train(session: Session, debug_port: DebugPortOption = None, **given: Any) -> Outcome:
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
        return _found(session, project, debug_port)

    return local_train.run(session, said, "", find, attach)


def serve(
    session: Session,
    model: ModelOption = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.", envvar="BYOC_PORT")] = hosting.PORT,
    env: EnvOption = [],
    env_file: EnvFileOption = None,
    startup_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=1, help="How long until /ping has to answer 200; 480 without it.", show_default=False
        ),
    ] = None,
    gpus_: hosted.GpusOption = "",
    instance_type: hosted.InstanceTypeOption = "",
    debug_port: DebugPortOption = None,
) -> Outcome:
    """Serve as `byoc serve` does, with the source as it is now, and again whenever a file of it is saved.

    A new container is started beside the one that answers, and callers go to it when its /ping is 200: the URL is the
    same, no request is lost. What does not start leaves the old one, and waits for the next save. Another model (the
    last run's, or that of --model) and another image are taken as well.

    With --debug-port it waits for a debugger before it serves, and after each save again.

    With --json: what `byoc serve` prints.
    """
    from byoc_cli.local.dev.serving import serve as serve_source
    from byoc_cli.local.hosting import EndpointRequest
    from byoc_cli.local.runs import new_job_name

    project = session.project()
    said = containers(session, project, [], [model] if model else [], env, env_file)
    instance, number = hosted.sizes(instance_type, gpus_, "hosting", project)
    if debug_port in {port, hosting.PORT}:
        raise UsageError(f"--debug-port {debug_port} is the endpoint's own port", hint="--debug-port 5678")
    _, image, source = _found(session, project, debug_port)
    (found,) = definitions(session, project, said, None)
    request = EndpointRequest(
        name=new_job_name(_short(found.reference)),
        containers=[replace(found, image=image, source=source)],
        port=port,
        resources=hosted.resources(session, instance, number),
        startup_timeout=startup_timeout or (_LONG_SECONDS if debug_port else None),
        region=region(),
    )
    session.console.log(f"endpoint {request.name}: {found.reference} serve, model {found.model or '(none)'}")
    (given,) = given_models(session, project, said)
    serve_source(session.engine, project, request, given, source, session.console, _Ready(session))
    session.console.log("the endpoint was stopped")
    return Outcome()


class _Ready:
    """Says where the endpoint is: the URL once, which stays."""

    def __init__(self, session: Session) -> None:
        self._console = session.console
        self._said = False

    def __call__(self, endpoint: Endpoint) -> None:
        self._console.log(f"ready after {endpoint.ready_seconds:.2f} s; Ctrl-C stops it")
        if self._said:
            return
        self._said = True
        if self._console.as_json:
            fields = asdict(endpoint)
            self._console.json({"endpoint": fields.pop("url").rpartition("/")[0], **fields})
        else:
            self._console.result(endpoint.url)


def _found(session: Session, project: Project, debug_port: int | None) -> tuple[str, Image, Source]:
    """Find the project's image, or build it, and the source that is put over it."""
    from byoc_cli.local.dev.debugger import Debugger
    from byoc_cli.local.dev.source import LARGE_BYTES, Source
    from byoc_cli.local.ports import check_port

    reference = session.reference("", project)
    if debug_port:
        check_port(session.engine, debug_port)
    if session.engine.image(reference) is None and project.dockerfile.is_file():
        session.console.log(f"there is no image {reference} yet: it is built first")
        local_train.build_image(session, project)
    reference, image = session.image("", project)
    debugger = Debugger(debug_port) if debug_port else None
    source = Source(session.engine, project, image, debugger)
    session.console.log(f"source: {source.words()}")
    if new := source.not_built():
        session.console.warn(f"newer than the image, and only a build takes it in: {', '.join(new)}", "byoc build")
    if source.size > LARGE_BYTES:
        session.console.warn(
            f"{source.size / 1e6:,.0f} MB are put into each container: that takes its time",
            "list what is no source in .dockerignore, or mount it: [dev] mounts in byoc.toml",
        )
    if debugger:
        session.console.log(f"for VS Code, .vscode/launch.json:\n{debugger.launch(project.root, source.folders())}")
    return reference, image, source


def _short(reference: str) -> str:
    from byoc_cli import image_ref

    return image_ref.parse(reference).short
