"""Push an image through the engine: every error in the stream is an error, the digest is read in both of its forms."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import docker.credentials.errors
import docker.errors

from byoc_cli import image_ref
from byoc_cli.engine import client_config, faults
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.push_faults import PushFailed, helper_fault, push_fault
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import MachineError

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ENDS = ("Pushed", "Layer already exists", "Mounted from")
"""How the last word on a layer begins."""


@dataclass(frozen=True)
class LayerProgress:
    """Where one layer is; bytes of it sent and in all, 0 where the engine does not say."""

    layer: str
    status: str
    done: int = 0
    total: int = 0


class PushWatcher(Protocol):
    """Is told how far each layer is; what it raises ends the push."""

    def __call__(self, at: LayerProgress, /) -> None:
        """A layer went on."""


def push(engine: DockerEngine, repository: str, tag: str, credentials: Credentials | None, watch: PushWatcher) -> str:
    """Push `repository:tag` and return the digest of what went up, "" where the engine does not say.

    `credentials` go straight into the request; with None those of the user's own Docker configuration are used.

    Raises:
        PushFailed: what the registry said.
        MachineError: the user's credential helper is broken.

    """
    # Always given where we have them: without it a stale entry of config.json, or its helper, would win.
    auth = {"username": credentials.user, "password": credentials.password} if credentials else None
    if credentials is None:
        client_config.check()  # docker-py would go on without any login
    try:
        with faults.translated(), _quiet_helpers():
            stream: Iterable[Mapping[str, Any]] = engine.api.push(
                repository, tag=tag, stream=True, decode=True, auth_config=auth
            )
            return follow(stream, watch)
    except docker.credentials.errors.StoreError as error:  # not a DockerException
        raise helper_fault(repository, error) from error
    except PushFailed as error:
        error.hint = error.hint.replace("REGISTRY", image_ref.parse(repository).host or "docker.io")
        raise
    except (ValueError, KeyError) as error:  # docker-py takes whatever a helper prints for JSON
        if credentials is None:
            raise helper_fault(repository, f"it answers nonsense ({error})") from error
        raise
    except MachineError as error:
        # docker-py wraps a failing helper in the exception that it has for everything.
        if credentials is None and "redential" in error.message:
            raise helper_fault(repository, _said_by_helper(error.message)) from error
        raise


@contextmanager
def _quiet_helpers() -> Iterator[None]:
    """Keep docker-py's warning of a helper that is missing to us: the error says it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not installed or not available in PATH")
        yield


def _said_by_helper(text: str) -> str:
    found = re.search(r"StoreError\((['\"])(.*)\1\)", text, re.DOTALL)
    return found[2] if found else text.rpartition("\n")[2]


def follow(stream: Iterable[Mapping[str, Any]], watch: PushWatcher) -> str:
    """Read a push's messages to the end; gives the digest.

    Raises:
        PushFailed: one of them is an error (the HTTP status never is).

    """
    digest = ""
    for message in stream:
        if message.get("error") or message.get("errorDetail"):
            said = message.get("error") or (message.get("errorDetail") or {}).get("message") or "unknown error"
            raise push_fault(str(said))
        # The classic store says it in `aux`, the containerd store and podman in the status line alone.
        aux = message.get("aux") or {}
        line = re.search(r"digest: (sha256:[0-9a-f]{64})", str(message.get("status", "")))
        digest = str(aux.get("Digest") or (line[1] if line else digest))
        if message.get("id"):
            detail = message.get("progressDetail") or {}
            done, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
            watch(LayerProgress(str(message["id"]), str(message.get("status", "")), done, max(done, total)))
    return digest


def manifest_type(engine: DockerEngine, image_id: str) -> str:
    """Return the media type of what a push of the image sends; "" where only the push will show.

    The classic store always sends Docker's; the containerd store what it holds, mostly OCI's; podman as it was built.
    """
    with faults.translated():
        if engine.info().containerd_store:
            row = engine.api.inspect_image(image_id)  # type: ignore[no-untyped-call]
            return str((row.get("Descriptor") or {}).get("mediaType", ""))
        version = engine.api.version(api_version=False)
    parts = [str(part.get("Name", "")) for part in version.get("Components") or []]
    return "" if any("podman" in part.lower() for part in parts) else DOCKER_MANIFEST


def manifest_type_in_registry(engine: DockerEngine, reference: str) -> str:
    """Ask the registry, through the engine and with the user's own login; "" where it does not say."""
    with faults.translated():
        try:
            found = engine.api.inspect_distribution(reference)  # type: ignore[no-untyped-call]
        except docker.errors.APIError:
            return ""
    return str((found.get("Descriptor") or {}).get("mediaType", ""))


def layers(engine: DockerEngine, image_id: str) -> list[tuple[str, int]]:
    """Return (what made it, bytes unpacked) of every layer that holds anything, the first one first."""
    with faults.translated():
        history = engine.api.history(image_id)  # type: ignore[no-untyped-call]
    return [(_made_by(row), int(row["Size"])) for row in reversed(history) if row.get("Size")]


def _made_by(row: Mapping[str, Any]) -> str:
    text = re.sub(r"^/bin/sh -c (#\(nop\)\s*)?", "", str(row.get("CreatedBy") or row.get("Comment") or ""))
    return " ".join(text.split()) or "(imported)"


def give_name(engine: DockerEngine, image_id: str, repository: str, tag: str) -> None:
    """Tag an image."""
    with faults.translated():
        engine.api.tag(image_id, repository, tag, force=True)


def take_name(engine: DockerEngine, reference: str) -> None:
    """Take a tag away; with its last one the image would go, too."""
    with faults.translated():
        engine.api.remove_image(reference, noprune=True)
