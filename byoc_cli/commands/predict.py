"""`byoc predict`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import hosted
from byoc_cli.commands.options import AcceptOption, ContentTypeOption, Outcome, Session, stdin_bytes
from byoc_cli.commands.predict_view import check_json, show, show_json, write
from byoc_cli.contract import hosting
from byoc_cli.errors import ByocError, UsageError

if TYPE_CHECKING:
    from byoc_cli.endpoint import Client
    from byoc_cli.engine.types import Container
    from byoc_cli.payload import Payload
    from byoc_cli.project import Project

_SLACK_SECONDS = 5.0  # of many models a local endpoint limits the time: a load is no invocation
_LOG_SECONDS = 0.3  # an engine writes down a moment later what a container said before it answered

EXAMPLES = """
  byoc predict cat.png
  byoc predict *.png --json
  echo '{"instances": [[1, 2, 3]]}' | byoc predict - --content-type application/json
  byoc predict cat.png --repeat 200
"""


def predict(
    session: Session,
    files: Annotated[
        list[str], typer.Argument(metavar="[FILE]...", help="What to send; - is standard input.", show_default=False)
    ] = [],
    url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="An endpoint; this project's running one without it.",
            envvar="BYOC_URL",
            show_default=False,
        ),
    ] = "",
    content_type: ContentTypeOption = "",
    accept: AcceptOption = "",
    header: Annotated[
        list[str], typer.Option("--header", "-H", metavar="K=V", help="Another header.", show_default=False)
    ] = [],
    target_model: Annotated[str, typer.Option(metavar="NAME", help="Model of a multi-model endpoint.")] = "",
    target_container: Annotated[
        str, typer.Option(metavar="NAME", help="Container of an endpoint with direct invocation.", show_default=False)
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the response's body there; - is stdout.", show_default=False
        ),
    ] = None,
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, help="Send it N times, and say how long that takes.", show_default=False)
    ] = 1,
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Ask an asynchronous endpoint, and wait for what it writes.")
    ] = False,
) -> Outcome:
    """Send files to the endpoint and show what it answers.

    Pictures become tensors as the project file says ([predict] image); other files go as they are, with the content
    type of their suffix. Without FILE the project's own request is sent ([predict] sample). With no endpoint running
    and a trained model there, one is started for this and stopped.

    With --async a file may have 1 GB, and s3://BUCKET/KEY is an input, too. The endpoint reads it itself and writes its
    answer where `byoc serve --async-output` said. -H X-Amzn-SageMaker-InvocationTimeoutSeconds=3600 gives it an hour.

    With --json: the response's body, unchanged; for several files, one body a line.
    With --async and --json: inference_id, output (the URI of the answer), answer (null where it is no JSON).
    With --repeat and --json: requests, p50, p95, p99 (ms), requests_per_second.
    """
    from byoc_cli import payload

    project = session.project()
    files = files or _own(project)
    if output:
        _check_output(output, files, repeat)
    headers = _headers(header, target_model, target_container)
    if asynchronous:
        from byoc_cli.commands.predict_async import Wanted, check_possible, predict_async

        check_possible(target_model, target_container, repeat)
        wanted = Wanted(content_type, accept or project.predict.accept, headers, output)
        return predict_async(session, project, files, lambda: _client(session, project, url, asynchronous=True), wanted)
    stdin = stdin_bytes() if "-" in files else b""
    payloads = [payload.load(file, project.predict, stdin=stdin, content_type=content_type) for file in files]
    accept = accept or project.predict.accept
    with _client(session, project, url, _SLACK_SECONDS if target_model else 0.0) as client:
        if repeat > 1:
            return _repeat(client, payloads, accept, headers, repeat)
        return _each(session, project, client, payloads, accept, headers, output)


def _own(project: Project) -> list[str]:
    from byoc_cli import payload

    if own := payload.sample(project):
        return [own]
    raise UsageError("there is nothing to send", hint='byoc predict FILE, or sample = "FILE" in [predict] of byoc.toml')


def _check_output(output: Path, files: list[str], repeat: int) -> None:
    """See that -o can be written, before anything is started or sent."""
    if len(files) > 1:
        raise UsageError("-o takes one response, and there are several files", hint="leave -o out, or send one file")
    if repeat > 1:
        raise UsageError("-o takes one response, and --repeat gives many", hint="leave one of them out")
    if output.is_dir():
        raise UsageError(f"-o {output}: that is a folder", hint=f"-o {output / 'answer'}")
    if not output.parent.is_dir():
        raise UsageError(f"-o {output}: there is no folder {output.parent}", hint=f"mkdir -p {output.parent}")


def _headers(given: list[str], target_model: str, target_container: str) -> dict[str, str]:
    from byoc_cli.endpoint import header_problem

    headers = {}
    for value in given:
        # Both `K=V`, as everywhere here, and `K: V`, as curl has it.
        colon, equals = value.find(":"), value.find("=")
        at = colon if colon > 0 and (equals < 0 or colon < equals) else equals
        if at <= 0:
            raise UsageError(f"--header {value}: there is no '='", hint="--header NAME=VALUE")
        name, content = value[:at].strip(), value[at + 1 :].strip()
        if problem := header_problem(name, content):
            raise UsageError(f"--header {value}: {problem}", hint="--header NAME=VALUE")
        headers[name] = content
    targets = {hosting.TARGET_MODEL_HEADER: target_model, hosting.TARGET_CONTAINER_HEADER: target_container}
    return headers | {name: target for name, target in targets.items() if target}


@contextmanager
def _client(
    session: Session, project: Project, url: str, slack: float = 0.0, *, asynchronous: bool = False
) -> Iterator[Client]:
    """Give a client for the URL, the running endpoint, or one that is started for this; errors get its last lines."""
    from byoc_cli import endpoint
    from byoc_cli.local import hosting as local_hosting

    if url:
        yield endpoint.Client(url if "://" in url else f"http://{url}")
        return
    found = local_hosting.running(session.engine, project)
    if found:
        if len(found) > 1:
            session.console.log(f"{len(found)} endpoints are running; the newest is asked: {found[0].job}")
        with _with_log(lambda: local_hosting.containers_of(session.engine, found[0]), hint="byoc logs"):
            url = endpoint.url(local_hosting.port_of(found[0]) or 0)
            yield endpoint.Client(url, invocation_timeout=hosting.INVOCATION_TIMEOUT_SECONDS + slack)
        return
    with _temporary(session, project, asynchronous=asynchronous) as client:
        yield client


@contextmanager
def _temporary(session: Session, project: Project, *, asynchronous: bool) -> Iterator[Client]:
    from byoc_cli import endpoint, image_ref
    from byoc_cli.local import answers
    from byoc_cli.local import hosting as local_hosting
    from byoc_cli.local.runs import new_job_name, prepare_home

    model = local_hosting.model_of(project, "")
    if model is None:
        raise ByocError(
            "no endpoint of this project is running, and there is no trained model to start one with",
            hint="byoc serve, or byoc local-train first",
        )
    instance, number = hosted.sizes("", "", "hosting", project)
    reference, image = session.image("", project)
    session.console.log("no endpoint is running: starting one for this, with the last run's model")
    name = new_job_name(image_ref.parse(reference).short)
    container = local_hosting.Definition(image, reference, model, project.serve.environment)
    request = local_hosting.EndpointRequest(
        name=name,
        containers=[container],
        port=0,
        resources=hosted.resources(session, instance, number),
        asynchronous=answers.own_config(prepare_home(project)) if asynchronous else None,
    )
    quiet = session.console.muted()
    with local_hosting.serving(session.engine, project, request, quiet, session.doors.s3) as (ready, members):
        with _with_log(lambda: {"": members[0].container}), closing(endpoint.Client(ready.url)) as client:
            yield client
        session.console.log("stopping the endpoint")


@contextmanager
def _with_log(containers: Callable[[], Mapping[str, Container]], hint: str = "") -> Iterator[None]:
    """Add the containers' last lines to what went wrong with an invocation; of several, each by its name."""
    from byoc_cli.endpoint import InvocationFailed, RequestRefused
    from byoc_cli.local.output import indented

    try:
        yield
    except RequestRefused:
        raise
    except InvocationFailed as error:
        time.sleep(_LOG_SECONDS)
        with suppress(ByocError):  # they may have died, and their own byoc have removed them
            for name, container in containers().items():
                if text := b"".join(container.logs(tail=10)).decode(errors="replace").strip("\r\n"):
                    error.message += f"\n{name or 'the container'}'s last lines:\n{indented(text)}"
        error.hint = error.hint or hint
        raise


def _each(
    session: Session,
    project: Project,
    client: Client,
    payloads: list[Payload],
    accept: str,
    headers: dict[str, str],
    output: Path | None,
) -> Outcome:
    several = len(payloads) > 1
    for sent in payloads:
        if len(sent.body) > hosting.MAX_PAYLOAD_BYTES:
            session.console.warn(
                f"{sent.source}: {len(sent.body) / 2**20:.1f} MB; SageMaker takes at most 25 MB (H-21)",
                "an asynchronous endpoint takes 1 GB: --async",
            )
        try:
            response = client.invoke(sent.body, content_type=sent.content_type, accept=accept, headers=headers)
        except ByocError as error:
            if several:
                error.message = f"{sent.source}: {error.message}"
            raise
        check_json(response, accept)
        if output:
            write(session.console, [response.body], response.content_type, output)
        elif session.console.as_json:
            show_json(session.console, response, several=several)
        else:
            show(session.console, project, sent.source, response, several=several)
    return Outcome()


def _repeat(client: Client, payloads: list[Payload], accept: str, headers: dict[str, str], repeat: int) -> Outcome:
    """Send every file `repeat` times, one after the other; times are milliseconds as a client sees them."""
    import time

    def send(sent: Payload) -> float:
        response = client.invoke(sent.body, content_type=sent.content_type, accept=accept, headers=headers)
        if sent.source in unseen:  # one look at each file's answer is enough, and costs little of the rate
            unseen.discard(sent.source)
            check_json(response, accept)
        return response.seconds * 1e3

    unseen = {sent.source for sent in payloads}
    start = time.monotonic()
    times = sorted(send(sent) for _ in range(repeat) for sent in payloads)
    rate = len(times) / (time.monotonic() - start)
    p50, p95, p99 = (times[min(len(times) - 1, int(len(times) * share))] for share in (0.50, 0.95, 0.99))
    percentiles = {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3)}
    data = {"requests": len(times), **percentiles, "requests_per_second": round(rate, 2)}
    line = f"{len(times)} requests: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, {rate:.1f} requests/s"
    return Outcome(data, lambda console: console.result(line))
