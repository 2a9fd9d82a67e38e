"""The `~` of a path that a user gives."""

from __future__ import annotations

from pathlib import Path

from byoc_cli.errors import UsageError


def expanded(given: str | Path) -> Path:
    """Put the home folder for a leading `~` or `~user`.

    Raises:
        UsageError: there is no such user.

    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        name = Path(given).parts[0]
        raise UsageError(
            f"{given}: '{name}' is nobody's home folder here", hint=f"./{given} for a folder of that name"
        ) from error
