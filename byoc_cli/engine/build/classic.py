"""A build through the classic API, where no BuildKit is."""

from __future__ import annotations

import io
import secrets
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker.auth
import docker.utils.build

from byoc_cli.engine import context, dockerfile, faults
from byoc_cli.engine.build.request import BuildRequest
from byoc_cli.engine.build.steps import Steps
from byoc_cli.engine.build_progress import Classic
from byoc_cli.engine.docker_container import DockerContainer
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.owner import OWNER_LABEL, me
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import ByocError


def build_with_api(engine: DockerEngine, request: BuildRequest, steps: Steps) -> None:
    """Build, or raise the fault of the step that failed."""
    api = engine.api
    file = dockerfile.parse(request.dockerfile.read_text("utf-8-sig"), request.args)
    patterns = context.ignore_patterns(request.folder, request.dockerfile)
    reader = Classic(steps)
    with ExitStack() as stack:
        holder = stack.enter_context(_secrets_image(engine, request.secrets)) if request.secrets else ""
        text = dockerfile.classic(file, request.target, dict.fromkeys(request.secrets, holder))
        named = f".byoc-{secrets.token_hex(4)}"
        # A file without a name, which docker-py's own has: it may be large, and is gone even when we are killed.
        tar: Any = stack.enter_context(tempfile.TemporaryFile())
        docker.utils.build.tar(str(request.folder), patterns, (named, text), fileobj=tar)  # type: ignore[arg-type]
        if request.credentials or not _credential_store_works(api):
            # docker-py sends all credentials with a build, and has no other way to say which.
            stack.enter_context(_auth_configs(api, request.credentials))
        with faults.translated():
            messages = api.build(
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
            )
            with _no_step_stays(engine, reader), closing(messages):
                for message in messages:
                    reader.feed(message)
        if steps.failure is None:
            reader.end()
    if steps.failure:
        raise steps.fault(request.log, [])


@contextmanager
def _no_step_stays(engine: DockerEngine, reader: Classic) -> Iterator[None]:
    """Wait until the container of a step that was broken off is gone: the engine removes it in its own time."""
    try:
        yield
    except BaseException:
        if reader.container:
            with suppress(ByocError):
                DockerContainer(engine.api, reader.container, "").remove()
        raise


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
        # Whose it is, for `byoc clean`: a build that is killed leaves it behind.
        mark = f'LABEL {OWNER_LABEL}="{me()}"'
        engine.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag, changes=[mark])
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
