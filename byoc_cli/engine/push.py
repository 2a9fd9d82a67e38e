"""Push an image through the engine: every error in the stream is an error, the digest is read in both of its forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import docker.credentials.errors

from byoc_cli.engine import faults
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import ByocError, MachineError

# What passes by itself: throttling, a registry that stumbles, a connection that drops.
_PASSING = re.compile(
    r"toomanyrequests|rate exceeded|too many requests|\b429\b|\b50[0234]\b|internal server error|bad gateway|"
    r"service unavailable|gateway time-?out|connection reset|broken pipe|\bEOF\b|i/o timeout|timeout awaiting|"
    r"handshake timeout|use of closed network connection|server closed|deadline exceeded",
    re.IGNORECASE,
)
_EXPIRED = re.compile(r"authorization token has expired|token has expired", re.IGNORECASE)


@dataclass(frozen=True)
class LayerProgress:
    """Where one layer is; bytes of it sent and in all, 0 where the engine does not say."""

    layer: str
    status: str
    done: int = 0
    total: int = 0


class PushWatcher(Protocol):
    """Is told how far each layer is."""

    def __call__(self, at: LayerProgress, /) -> None:
        """A layer went on."""


class PushFailed(ByocError):
    """The registry or the way to it refused. `passing`: worth another try; `expired`: with a new token."""

    passing = False
    expired = False


class NotFoundInRegistry(PushFailed):
    """There is no such repository."""


def push(engine: DockerEngine, repository: str, tag: str, credentials: Credentials | None, watch: PushWatcher) -> str:
    """Push `repository:tag` and return the digest of what went up, "" where the engine does not say.

    `credentials` go straight into the request; with None those of the user's own Docker configuration are used.

    Raises:
        PushFailed: what the registry said.
        MachineError: the user's credential helper is broken.

    """
    auth = {"username": credentials.user, "password": credentials.password} if credentials else None
    try:
        with faults.translated():
            stream: Iterable[Mapping[str, Any]] = engine.api.push(
                repository, tag=tag, stream=True, decode=True, auth_config=auth
            )
            return _follow(stream, watch)
    except docker.credentials.errors.StoreError as error:  # not a DockerException
        raise helper_fault(repository, error) from error
    except MachineError as error:
        # docker-py wraps a failing helper in the exception that it has for everything.
        if credentials is None and "redential" in error.message:
            raise helper_fault(repository, error) from error
        raise


def helper_fault(repository: str, error: Exception) -> MachineError:
    """A credential helper that is configured but does not work."""
    return MachineError(
        f"the login for {repository} cannot be read\nthe credential helper of your Docker configuration fails: {error}",
        hint="install the helper that ~/.docker/config.json names (credsStore, credHelpers), or take its line out",
    )


def _follow(stream: Iterable[Mapping[str, Any]], watch: PushWatcher) -> str:
    digest = ""
    for message in stream:
        if message.get("error") or message.get("errorDetail"):
            said = message.get("error") or (message.get("errorDetail") or {}).get("message") or "unknown error"
            raise push_fault(str(said))
        # The classic store says it in `aux`, the containerd store in the status line alone.
        aux = message.get("aux") or {}
        line = re.search(r"digest: (sha256:[0-9a-f]{64})", str(message.get("status", "")))
        digest = str(aux.get("Digest") or (line[1] if line else digest))
        if message.get("id"):
            detail = message.get("progressDetail") or {}
            done, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
            watch(LayerProgress(str(message["id"]), str(message.get("status", "")), done, max(done, total)))
    return digest


def push_fault(said: str) -> PushFailed:
    """What a registry's words mean, and what to do."""
    for pattern, kind, hint in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            fault = kind(f"the push failed\n{said}", hint=hint)
            break
    else:
        fault = PushFailed(f"the push failed\n{said}")
    fault.expired = bool(_EXPIRED.search(said))
    fault.passing = fault.expired or bool(_PASSING.search(said))
    return fault


_MEANINGS: tuple[tuple[str, type[PushFailed], str], ...] = (
    (r"name unknown|repository .* does not exist|name_unknown", NotFoundInRegistry, "create the repository first"),
    (
        r"tag invalid|cannot be overwritten|immutable",
        PushFailed,
        "tags of this repository are immutable: push under another one with --tag",
    ),
    (r"token has expired", PushFailed, "run it again: what went up stays there"),
    (
        r"no basic auth credentials|unauthorized|authentication required|401",
        PushFailed,
        "the registry does not know this login: docker login REGISTRY",
    ),
    (r"denied", PushFailed, "the registry denies it to this user: ask for the right to push"),
    (r"no space left", PushFailed, "the registry's disk is full: free some there, then run it again"),
    (
        r"x509|certificate",
        PushFailed,
        "the engine does not trust the registry's certificate: put its CA into /etc/docker/certs.d/REGISTRY/ca.crt",
    ),
    (r"server gave http response to https", PushFailed, "the registry speaks HTTP: list it in insecure-registries"),
    (
        r"no such host|connection refused|network is unreachable|no route to host",
        PushFailed,
        "the engine cannot reach the registry: check its network, proxy and DNS",
    ),
    (r"image does not exist locally", PushFailed, "byoc build"),
)


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
    """Take a tag away; the image stays, for it has another one."""
    with faults.translated():
        engine.api.remove_image(reference, noprune=True)
