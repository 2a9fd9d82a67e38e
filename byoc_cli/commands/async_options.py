"""What makes an endpoint of `byoc serve` asynchronous: --async-output, --async-failure, --max-concurrent (H-50)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.contract import hosting
from byoc_cli.contract.channels import S3
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.commands.options import Session
    from byoc_cli.contract.asynchronous import AsyncInferenceConfig

AsyncOutputOption = Annotated[
    str,
    typer.Option(
        metavar="FOLDER|s3://BUCKET/PREFIX",
        help="Make the endpoint asynchronous; answers go there.",
        show_default=False,
    ),
]
AsyncFailureOption = Annotated[
    str,
    typer.Option(
        metavar="FOLDER|s3://BUCKET/PREFIX",
        help="Failures go there; beside the answers without it.",
        show_default=False,
    ),
]
MaxConcurrentOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=hosting.ASYNC_MAX_CONCURRENCY,
        help=f"Asynchronous requests at once; {hosting.ASYNC_CONCURRENCY} without it.",
        show_default=False,
    ),
]


def async_config(
    session: Session, output: str, failure: str, concurrency: int | None, *, excluded: str
) -> AsyncInferenceConfig | None:
    """Read the options; `excluded` is an option that was given and does not go with them.

    Raises:
        UsageError: they are wrong.
        MachineError: there are no credentials for S3.

    """
    from byoc_cli.contract.asynchronous import AsyncInferenceConfig  # late: --help needs no contract

    if not output:
        for option, given in (("--async-failure", failure), ("--max-concurrent", concurrency)):
            if given:
                raise UsageError(f"{option} is for asynchronous endpoints", hint="--async-output FOLDER makes it one")
        return None
    if excluded:
        reason = "the queue is the local endpoint's, and --raw leaves that out\n" if excluded == "--raw" else ""
        raise UsageError(f"{excluded} does not go with --async-output\n{reason}".rstrip(), hint="leave one of them out")
    made = _place("--async-output", output)
    config = AsyncInferenceConfig(
        made, _place("--async-failure", failure) if failure else made, concurrency or hosting.ASYNC_CONCURRENCY
    )
    if S3 in config.output + config.failure:
        session.doors.s3()  # without credentials every request would fail
    return config


def _place(option: str, given: str) -> str:
    """Give the URI of a folder, which is made; S3 is not asked."""
    from byoc_cli.contract.asynchronous import path_problem
    from byoc_cli.project.home import expanded

    if given.startswith(S3):
        if problem := path_problem(given):
            raise UsageError(f"{option} {given}: {problem}", hint=f"{option} s3://BUCKET/PREFIX")
        return given
    path = expanded(given).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {given} cannot be made\n{error.strerror}", hint=f"{option} FOLDER") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"{option} {given} cannot be written", hint=f"{option} FOLDER")
    return path.as_uri()
