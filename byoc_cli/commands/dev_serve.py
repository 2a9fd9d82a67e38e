"""`byoc dev serve`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import hosted
from byoc_cli.commands.dev_source import DebugPortOption, found
from byoc_cli.commands.options import EnvFileOption, EnvOption, ModelOption, Outcome, Session, region
from byoc_cli.commands.serve_containers import containers, definitions, given_models, models_of
from byoc_cli.contract import hosting
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.local.hosting import Endpoint

EXAMPLES = """
  byoc dev serve
  byoc dev serve --model ./model.tar.gz --port 9000
  byoc dev serve --debug-port 5678
"""

_LONG_SECONDS = 7 * 86_400.0  # whoever waits for a debugger is a person


def dev_serve(
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
    models_of(session, project, said)  # a wrong one is refused before anything is built
    _, image, source = found(session, project, debug_port)
    (definition,) = definitions(session, project, said, None)
    request = EndpointRequest(
        name=new_job_name(_short(definition.reference)),
        containers=[replace(definition, image=image, source=source)],
        port=port,
        resources=hosted.resources(session, instance, number),
        startup_timeout=startup_timeout or (_LONG_SECONDS if debug_port else None),
        region=region(),
    )
    session.console.log(f"endpoint {request.name}: {definition.reference} serve, model {definition.model or '(none)'}")
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


def _short(reference: str) -> str:
    from byoc_cli import image_ref

    return image_ref.parse(reference).short
