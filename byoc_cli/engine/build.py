"""Build an image, so that SageMaker takes its manifest, with the builder that is there (design decision 1)."""

from __future__ import annotations

import io
import os
import re
import secrets
import signal
import subprocess
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import docker.auth
import docker.utils.build

from byoc_cli.engine import builders, context, dockerfile, faults
from byoc_cli.engine.build_progress import BuildWatcher, Classic, Plain, RawJson
from byoc_cli.engine.client_config import logged_in
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.types import Credentials, Image
from byoc_cli.errors import ByocError

TAIL_LINES = 20
_CANCEL_SECONDS = 15


@dataclass(frozen=True)
class BuildRequest:
    """All that a build is made of.

    `secrets` maps an id to a file (BuildKit's --secret id=…,src=…); `credentials` maps a registry's host to a login
    that is good for this build only; the full output goes to `log`.
    """

    folder: Path
    dockerfile: Path
    tag: str
    platform: str
    log: Path
    args: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    target: str = ""
    no_cache: bool = False
    pull: bool = False
    credentials: Mapping[str, Credentials] = field(default_factory=dict)


class BuildFailed(ByocError):
    """A step failed; its last lines and the log's path are in the message."""


def build(engine: DockerEngine, builder: builders.Builder, request: BuildRequest, watcher: BuildWatcher) -> Image:
    """Build, and give the image that came of it.

    Raises:
        BuildFailed: a step failed, or the Dockerfile is wrong.

    """
    request.log.parent.mkdir(parents=True, exist_ok=True)
    with request.log.open("w", encoding="utf-8") as log:
        steps = _Steps(watcher, log)
        if builder.kind == "classic":
            _classic(engine, request, steps)
        else:
            _cli(builder, request, steps)
    engine.touch(request.tag)
    image = engine.image(request.tag)
    if image is None:
        raise BuildFailed(f"the build ended well, but there is no image '{request.tag}'\nfull output: {request.log}")
    return image


class _Steps:
    """Keeps the log and each step's tail, and passes everything on."""

    def __init__(self, watcher: BuildWatcher, log: IO[str]) -> None:
        self.watcher = watcher
        self.log = log
        self.titles: dict[str, str] = {}
        self.tails: dict[str, deque[str]] = {}
        self.failure: tuple[str, str] | None = None

    def started(self, step: str, title: str) -> None:
        self.titles[step] = title
        self.log.write(f"=> {title}\n")
        self.watcher.started(step, title)

    def output(self, step: str, text: str) -> None:
        self.log.write(text)
        tail = self.tails.setdefault(step, deque(maxlen=TAIL_LINES + 1))
        for line in text.splitlines(keepends=True):
            if tail and not tail[-1].endswith(("\n", "\r")):
                tail[-1] += line
            else:
                tail.append(line)
        self.watcher.output(step, text)

    def finished(self, step: str, seconds: float, *, cached: bool) -> None:
        self.log.write(f"   {'cached' if cached else f'{seconds:.1f} s'}: {self.titles.get(step, '')}\n")
        self.watcher.finished(step, seconds, cached=cached)

    def failed(self, step: str, error: str) -> None:
        self.log.write(f"   failed: {error}\n")
        # What was cancelled because another step failed is not the cause.
        if self.failure is None and "context canceled" not in error:
            self.failure = (step, error)
        self.watcher.failed(step, error)

    def fault(self, log: Path, rest: Sequence[str]) -> BuildFailed:
        """Make the error of a build that failed: the step, its last lines, the exit code, the log."""
        step, error = self.failure or ("", next((line for line in reversed(rest) if line.strip()), "the builder ended"))
        title = self.titles.get(step, "")
        code = re.search(r"(?:exit code: |non-zero code: )(\d+)", error)
        lines = [f"the build failed at {title}" if title else "the build failed"]
        lines += ["  " + line.rstrip() for line in list(self.tails.get(step, ()))[-TAIL_LINES:] if line.strip()]
        lines.append(
            f"exit code {code[1]}" if code else re.sub(r"^ERROR: |failed to (?:solve|build)[^:]*: ", "", error)
        )
        return BuildFailed("\n".join(lines), hint=f"full output: {log}")


# -- through the docker CLI -----------------------------------------------------------------------------------------


def _cli(builder: builders.Builder, request: BuildRequest, steps: _Steps) -> None:
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


@contextmanager
def _dockerfile_with_ignore(request: BuildRequest) -> Iterator[Path]:
    """Give a copy of the Dockerfile, beside it the ignore file with our own lines.

    BuildKit reads <Dockerfile>.dockerignore beside the Dockerfile before the context's: so .byoc/ stays out and
    the user's tree is not touched.
    """
    ignore = context.ignore_file(request.folder, request.dockerfile)
    lines = ignore.read_bytes().rstrip(b"\n") + b"\n" if ignore else b""
    with tempfile.TemporaryDirectory(prefix="byoc-build-") as folder:
        copy = Path(folder) / "Dockerfile"
        copy.write_bytes(request.dockerfile.read_bytes())
        copy.with_name("Dockerfile.dockerignore").write_bytes(
            lines + "\n".join(context.ALWAYS_IGNORED).encode() + b"\n"
        )
        yield copy


# -- through the classic API ----------------------------------------------------------------------------------------


def _classic(engine: DockerEngine, request: BuildRequest, steps: _Steps) -> None:
    api = engine.api
    file = dockerfile.parse(request.dockerfile.read_text("utf-8-sig"), request.args)
    patterns = context.ignore_patterns(request.folder, request.dockerfile)
    reader = Classic(steps)
    with ExitStack() as stack:
        holder = stack.enter_context(_secrets_image(engine, request.secrets)) if request.secrets else ""
        text = dockerfile.classic(file, request.target, dict.fromkeys(request.secrets, holder))
        named = f".byoc-{secrets.token_hex(4)}"
        tar: Any = docker.utils.build.tar(str(request.folder), exclude=patterns, dockerfile=(named, text))  # type: ignore[arg-type]
        stack.enter_context(tar)
        if request.credentials or not _credential_store_works(api):
            # docker-py sends all credentials with a build, and has no other way to say which.
            stack.enter_context(_auth_configs(api, request.credentials))
        with faults.translated():
            for message in api.build(
                fileobj=tar,
                custom_context=True,
                dockerfile=named,
                tag=request.tag,
                buildargs=dict(request.args),
                platform=request.platform,
                nocache=request.no_cache,
                pull=request.pull,
                rm=True,
                forcerm=True,
                decode=True,
            ):
                reader.feed(message)
        if steps.failure is None:
            reader.end()
    if steps.failure:
        raise steps.fault(request.log, [])


@contextmanager
def _secrets_image(engine: DockerEngine, files: Mapping[str, Path]) -> Iterator[str]:
    """Hold the secrets in a tiny image for the time of a build, from which other stages than the last may COPY."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in files.items():
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            with path.open("rb") as source:
                tar.addfile(member, source)
    reference = f"{dockerfile.SECRETS_STAGE}:{secrets.token_hex(8)}"
    repository, tag = reference.split(":")
    with faults.translated():
        engine.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag)
        try:
            yield reference
        finally:
            engine.api.remove_image(reference, force=True)


def _credential_store_works(api: docker.APIClient) -> bool:
    try:
        api._auth_configs.get_all_credentials()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - StoreError is no DockerException, and a helper can fail in its own way
        return False
    return True


@contextmanager
def _auth_configs(api: docker.APIClient, credentials: Mapping[str, Credentials]) -> Iterator[None]:
    """Put these logins in the place of the user's store for one call.

    A private attribute, guarded by a test: with a credential store whose helper is not installed (usual in CI and
    WSL) docker-py's build dies, where the docker CLI goes on without.
    """
    before = api._auth_configs  # type: ignore[attr-defined]
    auths = {host: {"username": login.user, "password": login.password} for host, login in credentials.items()}
    api._auth_configs = docker.auth.AuthConfig({"auths": auths or {"byoc.invalid": {}}})  # type: ignore[attr-defined]
    try:
        yield
    finally:
        api._auth_configs = before  # type: ignore[attr-defined]
