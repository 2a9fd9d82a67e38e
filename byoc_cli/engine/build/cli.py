"""A build through the docker CLI: buildx, or an old client's own BuildKit."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from byoc_cli.engine import builders, context
from byoc_cli.engine.build.request import BuildRequest
from byoc_cli.engine.build.steps import Steps
from byoc_cli.engine.build_progress import Plain, RawJson
from byoc_cli.engine.client_config import logged_in
from byoc_cli.engine.owner import scratch

_CANCEL_SECONDS = 15
_PR_SET_PDEATHSIG = 1


def build_with_cli(builder: builders.Builder, request: BuildRequest, steps: Steps) -> None:
    """Build, or raise the fault of the step that failed."""
    with ExitStack() as stack:
        environment = dict(os.environ) | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        if builder.kind == "buildkit":
            environment["DOCKER_BUILDKIT"] = "1"
        if request.credentials:
            environment |= stack.enter_context(logged_in(request.credentials))
        file = stack.enter_context(_dockerfile_with_ignore(request))
        raw = builder.kind == "buildx" and builder.version >= (0, 13)
        reader = RawJson(steps) if raw else Plain(steps)
        code = _run(_command(builder, request, file, raw=raw), environment, reader, steps.log)
    if code != 0:
        raise steps.fault(request.log, reader.rest)


def _command(builder: builders.Builder, request: BuildRequest, file: Path, *, raw: bool) -> list[str]:
    command = [builder.client]
    if builder.kind == "buildx":
        # SageMaker refuses OCI manifests and indexes (I-01): no attestations, Docker's media types. The default
        # builder shares the engine's images; another one, chosen by BUILDX_BUILDER, has to load its result.
        own = os.environ.get("BUILDX_BUILDER")
        command += ["buildx", "build", *([] if own else ["--builder", "default"]), "--provenance=false", "--sbom=false"]
        command += ["--output", f"type={'docker' if own else 'image'},oci-mediatypes=false"]
    else:
        command += ["build"]
    command += ["--progress", "rawjson" if raw else "plain", "--platform", request.platform, "--tag", request.tag]
    command += ["--file", str(file)]
    for name, value in request.args.items():
        command += ["--build-arg", f"{name}={value}"]
    for name, path in request.secrets.items():
        command += ["--secret", f"id={name},src={path}"]
    command += ["--target", request.target] if request.target else []
    command += ["--no-cache"] if request.no_cache else []
    command += ["--pull"] if request.pull else []
    return [*command, str(request.folder)]


def _run(command: list[str], environment: Mapping[str, str], reader: RawJson | Plain, log: IO[str]) -> int:
    """Run the CLI in a session of its own: a Ctrl-C reaches us alone, and we tell it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
        preexec_fn=_end_with_us,  # noqa: PLW1509 - there are no threads yet
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            before = len(reader.rest)
            reader.feed(line.rstrip("\n"))
            log.writelines(rest + "\n" for rest in reader.rest[before:])
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_CANCEL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    finally:
        process.stdout.close()


def _end_with_us() -> None:
    """Let Linux send the CLI the same signal if we are killed: a build that nobody waits for does not go on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


@contextmanager
def _dockerfile_with_ignore(request: BuildRequest) -> Iterator[Path]:
    """Give a copy of the Dockerfile, beside it the ignore file with our own lines.

    BuildKit reads <Dockerfile>.dockerignore beside the Dockerfile before the context's: so .byoc/ stays out and
    the user's tree is not touched.
    """
    ignore = context.ignore_file(request.folder, request.dockerfile)
    lines = ignore.read_bytes().rstrip(b"\n") + b"\n" if ignore else b""
    with scratch("build") as folder:
        copy = Path(folder) / "Dockerfile"
        copy.write_bytes(request.dockerfile.read_bytes())
        copy.with_name("Dockerfile.dockerignore").write_bytes(
            lines + "\n".join(context.ALWAYS_IGNORED).encode() + b"\n"
        )
        yield copy
