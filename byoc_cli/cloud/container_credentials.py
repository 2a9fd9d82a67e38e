"""The user's own AWS credentials, in the words in which an AWS SDK reads them from a container's endpoint (T-28)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.credentials import RefreshableCredentials

from byoc_cli.cloud import faults
from byoc_cli.cloud.account import credentials, open_session
from byoc_cli.errors import MachineError

_LIFE = timedelta(minutes=20)  # of what does not say how long it is good: botocore asks again 15 minutes before the end
_SOURCES = {"env": "of the environment", "iam-role": "of this machine's role", "container-role": "of this task's role"}


class ContainerCredentials:
    """Gives, when called, credentials that are good now; may be called from several threads.

    `resolve` finds (botocore's credentials, the profile's name).

    Raises:
        MachineError: there are none, or they have expired and cannot be renewed.
        UsageError: there is no such profile.

    """

    def __init__(self, resolve: Callable[[], tuple[Any, str]] | None = None) -> None:
        self._resolve = resolve or _own
        self._found, self._profile = self._resolve()
        key = self._frozen(self._found).access_key
        source = _SOURCES.get(self._found.method, f"of the profile '{self._profile}'")
        self.whose = f"those {source}, access key …{key[-4:]}"
        """Whose they are, without a secret."""

    def __call__(self) -> dict[str, str]:
        """Return AccessKeyId, SecretAccessKey, Token ("" for a user's lasting key) and Expiration."""
        found = self._found
        if not isinstance(found, RefreshableCredentials):
            found, _ = self._resolve()  # a tool may have written new ones into ~/.aws meanwhile
        frozen = self._frozen(found)
        # botocore has no public word for it.
        expiry = getattr(found, "_expiry_time", None) or datetime.now(UTC) + _LIFE
        return {
            "AccessKeyId": frozen.access_key,
            "SecretAccessKey": frozen.secret_key,
            "Token": frozen.token or "",
            "Expiration": expiry.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _frozen(self, found: Any) -> Any:
        what = "your AWS credentials cannot be used"
        with faults.translated(what):
            try:
                return found.get_frozen_credentials()
            except RuntimeError as error:  # renewed, and expired all the same
                raise MachineError(f"{what}\n{error}", hint=faults.LOGIN) from error


def _own() -> tuple[Any, str]:
    session = open_session()
    with faults.translated("your AWS credentials cannot be used"):
        return credentials(session), session.profile or "default"
