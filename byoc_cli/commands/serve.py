"""`byoc serve`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import hosted
from byoc_cli.commands.async_options import (
    AsyncFailureOption,
    AsyncOutputOption,
    MaxConcurrentOption,
    async_config,
)
from byoc_cli.commands.options import (
    EnvFileOption,
    EnvOption,
    Outcome,
    Session,
    choice,
    refuse,
    region,
)
from byoc_cli.commands.serve_containers import Containers, containers, definitions, given_models
from byoc_cli.contract import hosting
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.contract.asynchronous import AsyncInferenceConfig
    from byoc_cli.local.hosting import Definition, Endpoint, EndpointRequest

EXAMPLES = """
  byoc serve
  byoc serve --detach && byoc predict cat.png && byoc stop
  byoc serve --detach --async-output answers && byoc predict large.csv --async
  byoc serve my-model:v2 --model ./model.tar.gz --port 9000
  byoc serve --models ./models -d && byoc predict --target-model a.tar.gz cat.png
  byoc serve prepare:v1 my-model:v2 --model none --model ./model.tar.gz
  byoc serve small=my-model:v1 large=my-model:v2 --mode direct --env large:WORKERS=2
  byoc serve --watch
"""


def serve(
    session: Session,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]IMAGE...",
            help="An image, the project's without it; or the containers of a pipeline, in their order.",
            show_default=False,
        ),
    ] = [],
    model: Annotated[
        list[str],
        typer.Option(
            metavar="PATH",
            help="A folder, a model.tar.gz or `none`; the last run's without it. One for each of several images.",
            show_default=False,
        ),
    ] = [],
    models: Annotated[
        str,
        typer.Option(metavar="DIR", help="A folder of model archives: an endpoint of many models.", show_default=False),
    ] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.", envvar="BYOC_PORT")] = hosting.PORT,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is ready, and leave it running.")
    ] = False,
    env: EnvOption = [],
    env_file: EnvFileOption = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="serial|direct", help="Several containers one after the other, or the one that a request names."
        ),
    ] = "serial",
    startup_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="How long until /ping has to answer 200; 480 without it, 180 if serverless.",
            show_default=False,
        ),
    ] = None,
    gpus_: hosted.GpusOption = "",
    instance_type: hosted.InstanceTypeOption = "",
    network_isolation: hosted.IsolationOption = False,
    serverless: Annotated[
        int | None,
        typer.Option(
            metavar="MB",
            help="A serverless endpoint with that much memory, 1024 to 6144: not as root, 4 MB a request.",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="The container's own port, without the limits of a real endpoint.")
    ] = False,
    data_capture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Append each request and its answer, as data capture does.", show_default=False
        ),
    ] = None,
    async_output: AsyncOutputOption = "",
    async_failure: AsyncFailureOption = "",
    max_concurrent: MaxConcurrentOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Let a new container take over when the model or the image changes.")
    ] = False,
) -> Outcome:
    """Serve a model as SageMaker does: `IMAGE serve`, the model read-only at /opt/ml/model, ready when /ping is 200.

    Before the container stands a local endpoint with SageMaker's limits: 25 MB a request, 60 s an answer, 8 minutes a
    stream, its headers and no others, its errors. It pings every 2 s. boto3's `sagemaker-runtime` with endpoint_url
    takes it for SageMaker. With --serverless a request has at most 4 MB.

    Several images are the containers of one endpoint, in a row (each one's answer is the next one's request) or, with
    --mode direct, each for itself (TargetContainerHostname names it). Each listens on the port in
    SAGEMAKER_BIND_TO_PORT, and its image has the label that says so. They are called container-1, container-2, …, or
    NAME; --env NAME:K=V is for one of them.

    With --async-output it takes asynchronous requests, and no others: an input of up to 1 GB from a file or from S3, an
    answer within 15 minutes (an hour where the request says so), written there when it is whole.

    With --models an invocation names its model: TargetModel a/b.tar.gz is DIR/a/b.tar.gz. It is unpacked and loaded
    when it is first asked for, and unloaded when the container has no memory for another one.

    Prints the URL that takes invocations. In the foreground Ctrl-C stops it as SageMaker would (SIGTERM, 30 s).

    With --watch a new container is started beside the old one when the model (without --model: the last run) or the
    image is another, and takes over when /ping is 200; else the old one stays. The URL is the same, no request is lost.
    Of several containers all are new.

    With --json: endpoint (the URL whose /invocations answers), name, container, model, ready_seconds,
    containers (a list with hostname, container, image, model of each).
    """
    from byoc_cli.local.hosting import EndpointRequest, live, serve_detached, until_it_ends
    from byoc_cli.local.hosting.serverless import Asked, problems
    from byoc_cli.local.hosting.watching import Watch, follow

    if raw and (data_capture or network_isolation):
        why = "has no data capture" if data_capture else "is a port of this machine, and an isolated container has none"
        raise UsageError(f"--raw {why}", hint="leave one of them out")
    _check_watch(watch=watch, raw=raw, detach=detach, models=bool(models))
    project = session.project()
    # All that can be wrong with the words is said before anything is looked up or made.
    said = containers(session, project, images, model, env, env_file)
    direct = choice(mode, "--mode", ("serial", "direct")) == "direct"
    _check_several(said, direct=direct, raw=raw, asynchronous=bool(async_output))
    many = _many(models, model=bool(model), several=said.several, raw=raw, serverless=serverless is not None)
    instance, number = hosted.sizes(instance_type, gpus_, "hosting", None if serverless else project)
    if serverless is not None:
        capture = data_capture is not None
        asked = Asked(number, instance_type, network_isolation, capture, startup_timeout, len(said.images))
        refuse(problems(serverless, asked))
    given = {"--raw": raw, "--data-capture": data_capture, "--serverless": serverless, "--models": models}
    asynchronous = async_config(
        session, async_output, async_failure, max_concurrent, excluded=next((key for key in given if given[key]), "")
    )
    found = definitions(session, project, said, many)
    if serverless:
        refuse(hosting.serverless_image_problems(found[0].image.size))
    request = EndpointRequest(
        name=_name(found),
        containers=found,
        direct=direct,
        port=port,
        resources=hosted.resources(session, instance, number),
        serverless=serverless or 0,
        network_isolation=network_isolation,
        startup_timeout=startup_timeout,
        detached=detach,
        raw=raw,
        capture=_capture_file(data_capture),
        models=many,
        region=region(),
        asynchronous=asynchronous,
    )
    _announce(session, request)
    if detach:
        ready = serve_detached(session.engine, project, request, session.console, session.doors.launch)
        session.console.log(f"ready after {ready.ready_seconds:.2f} s; end it with `byoc stop`")
        return Outcome(_data(ready), lambda console: console.result(ready.url))
    watched = Watch(session.engine, project, request, given_models(session, project, said)) if watch else None
    with live(session.engine, project, request, session.console, session.doors.s3) as (ready, one):
        session.console.log(f"ready after {ready.ready_seconds:.2f} s; Ctrl-C stops it")
        # Printed now: a foreground endpoint has no other moment.
        if session.console.as_json:
            session.console.json(_data(ready))
        else:
            session.console.result(ready.url)
        if watched:
            follow(one, watched, session.console)
        else:
            until_it_ends(one.members)
        session.console.log("the endpoint was stopped")
    return Outcome()


def _check_watch(*, watch: bool, raw: bool, detach: bool, models: bool) -> None:
    if raw and watch:
        raise UsageError(
            "--raw has no --watch\neach container has its own port: callers would lose it", hint="leave one of them out"
        )
    if detach and watch:
        raise UsageError("--watch is for the foreground, where it says what it does", hint="leave --detach out")
    if models and watch:
        raise UsageError(
            "--models has no --watch\na new container would have none of the models that callers use; new archives are "
            "found without it",
            hint="leave --watch out",
        )


def _check_several(said: Containers, *, direct: bool, raw: bool, asynchronous: bool) -> None:
    if raw and said.several:
        raise UsageError(
            f"--raw is the own port of one container, and there are {len(said.images)}", hint="leave --raw out"
        )
    if direct and not said.several:
        raise UsageError("--mode direct is for several containers, and there is one", hint="byoc serve IMAGE IMAGE")
    if direct and asynchronous:
        raise UsageError(
            "--mode direct does not go with --async-output\nInvokeEndpointAsync has no TargetContainerHostname",
            hint="leave one of them out",
        )


def _many(given: str, *, model: bool, several: bool, raw: bool, serverless: bool) -> Path | None:
    """Return the folder of many models; None for an endpoint whose containers have one each.

    Raises:
        UsageError: it is none, or does not go with what else was said.

    """
    from byoc_cli.local.hosting import models_of

    reasons = {
        "--model is one of one model": model,
        "several images have one each": several,
        "--raw has no local endpoint, which loads them": raw,
        "--serverless has one model": serverless,
    }
    if given and (found := [reason for reason, said in reasons.items() if said]):
        raise UsageError(f"--models makes an endpoint of many models\n{found[0]}", hint="leave one of them out")
    return models_of(given)


def _name(found: Sequence[Definition]) -> str:
    """Name the endpoint by the last image: that is whose answer a caller gets."""
    from byoc_cli import image_ref
    from byoc_cli.local.runs import new_job_name

    reference = found[-1].reference
    return new_job_name("endpoint" if reference.startswith("sha256:") else image_ref.parse(reference).short)


def _announce(session: Session, request: EndpointRequest) -> None:
    if request.models and request.resources.gpus != "none":
        session.console.warn("SageMaker documents GPUs with many models only for Triton's container (H-35)")
    for each in request.containers:
        who = f"{each.hostname} is " if len(request.containers) > 1 else ""
        what = f"models of {request.models}" if request.models else f"model {each.model or '(none)'}"
        size = f", serverless with {request.serverless} MB" if request.serverless else ""
        session.console.log(f"endpoint {request.name}: {who}{each.reference} serve, {what}{size}")
    if request.asynchronous:
        session.console.log(_asynchronous_words(request.asynchronous))


def _asynchronous_words(config: AsyncInferenceConfig) -> str:
    from byoc_cli.local.places import shown

    failures = f", failures in {shown(config.failure)}" if config.failure != config.output else ""
    return f"asynchronous: answers in {shown(config.output)}{failures}; {config.concurrency} at once"


def _capture_file(path: Path | None) -> Path | None:
    """Make the file now: what cannot be written is said before anything starts."""
    if path is None:
        return None
    from byoc_cli.local.gateway.capture import Capture
    from byoc_cli.project.home import expanded

    path = expanded(path).resolve()
    Capture(path).close()
    return path


def _data(ready: Endpoint) -> dict[str, object]:
    fields = asdict(ready)
    return {"endpoint": fields.pop("url").rpartition("/")[0], **fields}
