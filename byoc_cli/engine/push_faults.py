"""A registry's words, turned into what a user can act on. The engine hands them on as text, without any code."""

from __future__ import annotations

import re
from collections.abc import Sequence

from byoc_cli.errors import ByocError, MachineError


class PushFailed(ByocError):
    """The registry refused. `passing`: worth another try; `expired`: worth one with a new token."""

    passing = False
    expired = False


class RegistryUnreachable(PushFailed, MachineError):
    """The engine does not get to the registry, or is not known there: this machine is not ready."""


# What no second try mends; the first row that matches says it.
_FINAL: Sequence[tuple[str, type[PushFailed], str]] = (
    (
        r"name[ _]unknown|repository .* does not exist",
        PushFailed,
        "make the repository first; `byoc push --region R` makes it in ECR",
    ),
    (
        r"tag invalid|cannot be overwritten|immutable",
        PushFailed,
        "tags of this repository are immutable: push under another one with --tag",
    ),
    (
        r"no basic auth credentials|unauthorized|authentication required|\b401\b",
        RegistryUnreachable,
        "the registry does not know this login: docker login REGISTRY",
    ),
    (r"denied", PushFailed, "the registry denies it to this user: ask for the right to push"),
    (
        r"no space left|insufficient storage|\b507\b",
        PushFailed,
        "the registry's disk is full: free some there, then run it again",
    ),
    (
        r"x509|certificate",
        RegistryUnreachable,
        "the engine does not trust the registry's certificate: put its CA into /etc/docker/certs.d/REGISTRY/ca.crt",
    ),
    (
        r"server gave http response to https",
        RegistryUnreachable,
        "the registry speaks HTTP: list it in the engine's insecure-registries",
    ),
    (
        r"no such host|connection refused|network is unreachable|no route to host",
        RegistryUnreachable,
        "the engine cannot reach the registry: check its network, proxy and DNS",
    ),
    (
        r"error parsing HTTP \d+ response body|unexpected http status: 4(?!29)",
        RegistryUnreachable,
        "not the registry but something in between answered: check the engine's proxy (`docker info`)",
    ),
    (r"image does not exist locally", PushFailed, "byoc build"),
)

# What passes by itself: throttling, a registry that stumbles, a connection that drops.
_PASSING = (
    r"toomanyrequests|rate exceeded|too many requests|\b429\b|\b50[0-4]\b|internal server error|bad gateway|"
    r"service unavailable|gateway time-?out|connection reset|broken pipe|\beof\b|i/o timeout|timeout awaiting|"
    r"handshake timeout|use of closed network connection|server closed|deadline exceeded|^unknown"
)
_PASSING_HINT = "run it again: what went up stays there"


def push_fault(said: str) -> PushFailed:
    """What a registry's words mean, and what to do."""
    message = f"the push failed\n{said}"
    if _matches(r"token has expired", said):
        fault = PushFailed(message, hint=_PASSING_HINT)
        fault.passing = fault.expired = True
        return fault
    # A proxy's page says 502, too, inside of words that look final: what passes is looked for first there.
    if _matches(r"\b(429|50[0234])\b", said) and not _matches(r"no space left", said):
        return _passing(message)
    for pattern, kind, hint in _FINAL:
        if _matches(pattern, said):
            return kind(message, hint=hint)
    return _passing(message) if _matches(_PASSING, said) else PushFailed(message)


def helper_fault(repository: str, said: object) -> MachineError:
    """A credential helper that is configured but does not work."""
    return MachineError(
        f"the login for {repository} cannot be read\nthe credential helper of your Docker configuration fails: {said}",
        hint="install the helper that ~/.docker/config.json names (credsStore, credHelpers), or take its line out",
    )


def _passing(message: str) -> PushFailed:
    fault = PushFailed(message, hint=_PASSING_HINT)
    fault.passing = True
    return fault


def _matches(pattern: str, said: str) -> bool:
    return re.search(pattern, said, re.IGNORECASE) is not None
