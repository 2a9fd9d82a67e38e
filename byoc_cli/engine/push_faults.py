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
    """The engine does not get to the registry: this machine is not ready."""


class LoginRefused(RegistryUnreachable):
    """The registry does not know this login."""


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
        LoginRefused,
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
        r"error parsing HTTP \d+ response body|unexpected http status: [34](?!29)",
        RegistryUnreachable,
        "not the registry but something in between answered: check the engine's proxy (`docker info`)",
    ),
    (r"image does not exist locally", PushFailed, "byoc build"),
)

# What passes by itself: throttling, a registry that stumbles, a connection that drops.
_PASSING = (
    r"toomanyrequests|rate exceeded|too many requests|\b429\b|connection reset|broken pipe|\beof\b|i/o timeout|"
    r"timeout awaiting|handshake timeout|use of closed network connection|server closed|deadline exceeded|^unknown\b"
)
_PASSING_HINT = "run it again: what went up stays there"
_STUMBLING_HINT = "the registry itself fails (is its disk full?); run it again: what went up stays there"


def push_fault(said: str) -> PushFailed:
    """What a registry's words mean, and what to do."""
    message = f"the push failed\n{said}"
    if _matches(r"token has expired", said):
        fault = _passing(message, _PASSING_HINT)
        fault.expired = True
        return fault
    full = _matches(r"no space left", said)
    # A gateway's 502 may stand inside of words that look final: what passes is looked for first.
    if _matches(r"\b50[0234]\b", said) and not full:
        return _passing(message, _STUMBLING_HINT)
    for pattern, kind, hint in _FINAL:
        if _matches(pattern, said):
            return kind(message, hint=hint)
    return _passing(message, _PASSING_HINT) if _matches(_PASSING, said) else PushFailed(message)


def helper_fault(repository: str, said: object) -> MachineError:
    """A credential helper that is configured but does not work."""
    return MachineError(
        f"the login for {repository} cannot be read\nthe credential helper of your Docker configuration fails: {said}",
        hint="install the helper that ~/.docker/config.json names (credsStore, credHelpers), or take its line out",
    )


def _passing(message: str, hint: str) -> PushFailed:
    fault = PushFailed(message, hint=hint)
    fault.passing = True
    return fault


def _matches(pattern: str, said: str) -> bool:
    return re.search(pattern, said, re.IGNORECASE) is not None
