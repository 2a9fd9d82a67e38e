"""`byoc serve`."""

from __future__ import annotations

from dataclasses import asdict, replace
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
    ImageArgument,
    ModelOption,
    Outcome,
    Session,
    environment,
    refuse,
    region,
)
from byoc_cli.contract import hosting
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.contract.asynchronous import AsyncInferenceConfig
    from byoc_cli.local.hosting import Endpoint, EndpointRequest
    from byoc_cli.project import Project

EXAMPLES = """
  byoc serve
  byoc serve --detach && byoc predict cat.png && byoc stop
  byoc serve --detach --async-output answers && byoc predict large.csv --async
  byoc serve my-model:v2 --model ./model.tar.gz --port 9000
  byoc serve --models ./models -d && byoc predict --target-model a.tar.gz cat.png
"""


def serve(
    session: Session,
    image: ImageArgument = "",
    model: ModelOption = "",
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
) -> Outcome:
    """Serve a model as SageMaker does: `IMAGE serve`, the model read-only at /opt/ml/model, ready when /ping is 200.

    Before the container stands a local endpoint with SageMaker's limits: 25 MB a request, 60 s an answer, 8 minutes a
    stream, its headers and no others, its errors. It pings every 2 s. boto3's `sagemaker-runtime` with endpoint_url
    takes it for SageMaker. With --serverless a request has at most 4 MB.

    With --async-output it takes asynchronous requests, and no others: an input of up to 1 GB from a file or from S3, an
    answer within 15 minutes (an hour where the request says so), written there when it is whole.

    With --models an invocation names its model: TargetModel a/b.tar.gz is DIR/a/b.tar.gz. It is unpacked and loaded
    when it is first asked for, and unloaded when the container has no memory for another one.

    Prints the URL that takes invocations. In the foreground Ctrl-C stops it as SageMaker would (SIGTERM, 30 s).

    With --json: endpoint (the URL whose /invocations answers), name, container, model, ready_seconds.
    """
    from byoc_cli.local.hosting import serve_detached, serving, until_it_ends
    from byoc_cli.local.hosting.serverless import Asked, problems

    if raw and (data_capture or network_isolation):
        why = "has no data capture" if data_capture else "is a port of this machine, and an isolated container has none"
        raise UsageError(f"--raw {why}", hint="leave one of them out")
    _check_models(models, model=bool(model), raw=raw, serverless=serverless is not None)
    project = session.project()
    # All that can be wrong with the words is said before anything is looked up or made.
    session.reference(image, project)
    variables = {**project.serve.environment, **environment(env, env_file, session.console.warn)}
    refuse(hosting.environment_problems(variables))
    instance, number = hosted.sizes(instance_type, gpus_, "hosting", None if serverless else project)
    if serverless is not None:
        asked = Asked(number, instance_type, network_isolation, data_capture is not None, startup_timeout)
        refuse(problems(serverless, asked))
    given = {"--raw": raw, "--data-capture": data_capture, "--serverless": serverless, "--models": models}
    asynchronous = async_config(
        session, async_output, async_failure, max_concurrent, excluded=next((key for key in given if given[key]), "")
    )
    request = replace(
        _request(session, project, image, port, model, models),
        environment=variables,
        resources=hosted.resources(session, instance, number),
        serverless=serverless or 0,
        network_isolation=network_isolation,
        startup_timeout=startup_timeout,
        detached=detach,
        raw=raw,
        capture=_capture_file(data_capture),
        region=region(),
        asynchronous=asynchronous,
    )
    if request.models and request.resources.gpus != "none":
        session.console.warn("SageMaker documents GPUs with many models only for Triton's container (H-35)")
    if serverless:
        refuse(hosting.serverless_image_problems(request.image.size))
    what = f"models of {request.models}" if request.models else f"model {request.model or '(none)'}"
    session.console.log(
        f"endpoint {request.name}: {request.reference} serve, {what}"
        + (f", serverless with {serverless} MB" if serverless else "")
    )
    if asynchronous:
        session.console.log(_asynchronous_words(asynchronous))
    if detach:
        ready = serve_detached(session.engine, project, request, session.console, session.doors.launch)
        session.console.log(f"ready after {ready.ready_seconds:.2f} s; end it with `byoc stop`")
        return Outcome(_data(ready), lambda console: console.result(ready.url))
    with serving(session.engine, project, request, session.console, session.doors.s3) as (ready, container):
        session.console.log(f"ready after {ready.ready_seconds:.2f} s; Ctrl-C stops it")
        # Printed now: a foreground endpoint has no other moment.
        if session.console.as_json:
            session.console.json(_data(ready))
        else:
            session.console.result(ready.url)
        until_it_ends(container)
        session.console.log("the endpoint was stopped")
    return Outcome()


def _check_models(models: str, *, model: bool, raw: bool, serverless: bool) -> None:
    reasons = {
        "--model is one of one model": model,
        "--raw has no local endpoint, which loads them": raw,
        "--serverless has one model": serverless,
    }
    if models and (found := [reason for reason, given in reasons.items() if given]):
        raise UsageError(f"--models makes an endpoint of many models\n{found[0]}", hint="leave one of them out")


def _request(
    session: Session, project: Project, image: str, port: int, model: str, models_folder: str
) -> EndpointRequest:
    from byoc_cli import image_ref
    from byoc_cli.local.hosting import EndpointRequest, check_multi_model, model_of, models_of
    from byoc_cli.local.runs import new_job_name

    models = models_of(models_folder)
    path = None if models else model_of(project, model)
    reference, found = session.image(image, project)
    if models:
        check_multi_model(found, reference)
    elif path is None:
        session.console.warn("there is no trained model: /opt/ml/model is empty", "byoc local-train, or --model PATH")
    short = "endpoint" if reference.startswith("sha256:") else image_ref.parse(reference).short
    return EndpointRequest(
        name=new_job_name(short), image=found, reference=reference, model=path, models=models, port=port
    )


def _asynchronous_words(config: AsyncInferenceConfig) -> str:
    from byoc_cli.local.places import shown

    failures = f", failures in {shown(config.failure)}" if config.failure != config.output else ""
    return f"asynchronous: answers in {shown(config.output)}{failures}; {config.concurrency} at once"


def _capture_file(path: Path | None) -> Path | None:
    """Make the file now: what cannot be written is said before anything starts."""
    if path is None:
        return None
    from byoc_cli.local.gateway.capture import Capture

    path = path.expanduser().resolve()
    Capture(path).close()
    return path


def _data(ready: Endpoint) -> dict[str, object]:
    fields = asdict(ready)
    return {"endpoint": fields.pop("url").rpartition("/")[0], **fields}
