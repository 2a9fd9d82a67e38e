"""`byoc batch`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from byoc_cli.commands import hosted
from byoc_cli.commands.options import (
    AcceptOption,
    ContentTypeOption,
    EnvFileOption,
    EnvOption,
    ImageArgument,
    ModelOption,
    Outcome,
    Session,
    choice,
    environment,
    path_of,
    refuse,
)
from byoc_cli.contract import batch as rules
from byoc_cli.contract.batch import Asked
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.local.channels.objects import Object
    from byoc_cli.local.hosting import EndpointRequest
    from byoc_cli.project import Project

EXAMPLES = """
  byoc batch data.csv --out results --split-type Line --content-type text/csv --assemble-with Line
  byoc batch pictures/ --out results --content-type image/png --max-concurrent 4
  byoc batch people.csv --out results --split-type Line --content-type text/csv --assemble-with Line \\
      --input-filter '$[1:]' --join-source Input --output-filter '$[0,-1]'
  byoc batch s3://bucket/records --out results --split-type TFRecord --batch-strategy SingleRecord
"""


def batch(
    session: Session,
    input_: Annotated[
        str, typer.Argument(metavar="INPUT", help="A file, a folder or s3://BUCKET/PREFIX.", show_default=False)
    ],
    image: ImageArgument = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the .out files go.", show_default=False)
    ] = None,
    model: ModelOption = "",
    split_type: Annotated[
        str, typer.Option(metavar="None|Line|RecordIO|TFRecord", help="What a record is in a file.")
    ] = "None",
    batch_strategy: Annotated[
        str,
        typer.Option(
            metavar="SingleRecord|MultiRecord",
            help="Records in a request: one, or all that fit; the container's wish without it, else MultiRecord.",
            show_default=False,
        ),
    ] = "",
    assemble_with: Annotated[
        str, typer.Option(metavar="None|Line", help="What stands behind each answer: nothing, or a newline.")
    ] = "None",
    content_type: ContentTypeOption = "",
    accept: AcceptOption = "",
    max_payload_mb: Annotated[
        int | None,
        typer.Option(
            metavar="MB",
            min=0,
            max=rules.MAX_PAYLOAD_MB,
            help="Size of a request; 0 streams each file whole; the container's wish without it, else 6.",
            show_default=False,
        ),
    ] = None,
    max_concurrent: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Requests at the same time; the container's wish without it, else 1.",
            show_default=False,
        ),
    ] = None,
    input_filter: Annotated[
        str, typer.Option(metavar="JSONPATH", help="What of a record is sent: $[1:] of CSV, $.features of JSON.")
    ] = "$",
    join_source: Annotated[
        str, typer.Option(metavar="None|Input", help="Input: each record is stored with its answer.")
    ] = "None",
    output_filter: Annotated[
        str, typer.Option(metavar="JSONPATH", help="What of that is stored: $[0,-1], $['id','SageMakerOutput'].")
    ] = "$",
    env: EnvOption = [],
    env_file: EnvFileOption = None,
    timeout: Annotated[
        int, typer.Option(metavar="SECONDS", min=1, max=rules.MAX_TIMEOUT_SECONDS, help="Time for an answer.")
    ] = rules.TIMEOUT_SECONDS,
    retries: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=rules.MAX_RETRIES, help="Tries after one with a 5xx or without an answer."
        ),
    ] = rules.RETRIES,
    gpus_: hosted.GpusOption = "",
    instance_type: hosted.InstanceTypeOption = "",
    network_isolation: hosted.IsolationOption = False,
) -> Outcome:
    """Run a batch transform job as SageMaker does: `IMAGE serve`, each file of INPUT sent to it, FILE.out for each.

    The .out files lie in --out as the files do in INPUT; answers stand in the order of the records. A file of which a
    record fails gets none, and the job fails, but the other files are done. A line of CSV is a record: no newline in
    quotes. With TFRecord and RecordIO the container gets the payload alone with SingleRecord, whole frames with
    MultiRecord. Prints the output folder.

    Filters and join are of CSV and of JSON; a CSV row gets the answer's columns behind its own, a JSON object gets the
    answer as SageMakerOutput, and another JSON value becomes SageMakerInput beside it.

    With --json: the words of DescribeTransformJob (TransformJobName, TransformJobStatus, FailureReason, BatchStrategy,
    MaxConcurrentTransforms, MaxPayloadInMB, DataProcessing, …) and files (input, status, output, records,
    FailureReason), records, seconds.
    """
    from byoc_cli.contract import data_processing  # late: its patterns cost `--help` 2 ms
    from byoc_cli.local.batch import TransformRequest, output_folder, transform

    project = session.project()
    if out is None:
        raise UsageError("nothing says where the .out files go", hint=f"byoc batch {input_} --out FOLDER")
    session.reference(image, project)
    asked = Asked(
        max_concurrent,
        choice(batch_strategy, "--batch-strategy", get_args(rules.BatchStrategy)) if batch_strategy else None,
        max_payload_mb,
    )
    refuse(rules.problems(rules.resolve(asked, Asked())) if None not in {max_concurrent, max_payload_mb} else [])
    split = choice(split_type, "--split-type", get_args(rules.SplitType))
    assemble = choice(assemble_with, "--assemble-with", get_args(rules.AssembleWith))
    _check_headers({"--content-type": content_type, "--accept": accept})
    joined = choice(join_source, "--join-source", get_args(data_processing.JoinSource))
    processing = data_processing.DataProcessing(input_filter, output_filter, joined)
    refuse(data_processing.problems(processing, content_type, accept, split, assemble))
    if problem := data_processing.streaming_problem(processing, max_payload_mb):
        raise UsageError(problem, hint="--max-payload-mb 6")
    variables = environment(env, env_file, session.console.warn)
    refuse(rules.environment_problems(variables))
    instance, number = hosted.sizes(instance_type, gpus_, "transform")
    source = None if input_.startswith("s3://") else path_of(input_, Path.cwd(), "INPUT")
    folder = output_folder(out, source)
    request = TransformRequest(
        hosted=replace(
            _hosted(session, project, image, model, variables | rules.environment(asked)),
            resources=hosted.resources(session, instance, number),
            network_isolation=network_isolation,
        ),
        inputs=_inputs(session, input_, source),
        out=folder,
        asked=asked,
        split=split,
        assemble=assemble,
        content_type=content_type,
        accept=accept,
        timeout=timeout,
        retries=retries,
        processing=processing,
    )
    (container,) = request.hosted.containers
    session.console.log(
        f"transform job {request.hosted.name}: {container.reference} serve, model "
        f"{container.model or '(none)'}, {len(request.inputs):,} files"
    )
    described = transform(session.engine, project, request, session.console)
    session.console.log(
        f"{len(request.inputs):,} files, {described['records']:,} records in {described['seconds']:.2f} s"
    )
    return Outcome(described, lambda console: console.result(str(out)))


def _check_headers(options: dict[str, str]) -> None:
    from byoc_cli.endpoint import header_problem

    for option, value in options.items():
        if header_problem("Accept", value):
            raise UsageError(f"{option}: the value has a character that no header may have", hint=f"{option} TYPE")


def _hosted(session: Session, project: Project, image: str, model: str, variables: dict[str, str]) -> EndpointRequest:
    from byoc_cli import image_ref
    from byoc_cli.local.hosting import TRANSFORM_KIND, Definition, EndpointRequest, model_of
    from byoc_cli.local.runs import new_job_name

    path = model_of(project, model)
    reference, found = session.image(image, project)
    if path is None:
        session.console.warn("there is no trained model: /opt/ml/model is empty", "byoc local-train, or --model PATH")
    short = "transform" if reference.startswith("sha256:") else image_ref.parse(reference).short
    return EndpointRequest(
        name=new_job_name(short),
        containers=[Definition(found, reference, path, {**project.serve.environment, **variables})],
        port=0,
        raw=True,  # the platform's agent, too, has nothing between itself and the container
        kind=TRANSFORM_KIND,
    )


def _inputs(session: Session, given: str, source: Path | None) -> list[Object]:
    """List the input's files; what is in S3 is downloaded.

    Raises:
        UsageError: there is none.

    """
    from byoc_cli.commands.s3_source import S3Source
    from byoc_cli.local.channels import Channel
    from byoc_cli.local.channels.objects import objects
    from byoc_cli.local.channels.sources import fetched

    channel = Channel("input", source or Path(), uri="" if source else given)
    found = objects(fetched(channel, S3Source(session.console)))
    if not found:
        raise UsageError(f"there is no file in {given}", hint="INPUT is a file, or a folder with files in it")
    return found
