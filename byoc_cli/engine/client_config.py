"""The docker client's configuration, for the time of one call."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from byoc_cli.engine.owner import scratch
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import MachineError


@contextmanager
def logged_in(credentials: Mapping[str, Credentials]) -> Iterator[dict[str, str]]:
    """Give an environment in which the docker CLI has these logins, without writing one to disk.

    The CLI asks a credential helper, a script that prints what stands in our child's environment. The rest of the
    user's Docker configuration (contexts, plugins, other registries) is seen through links.
    """
    own = _folder()
    with scratch("login") as name:
        folder = Path(name)
        for entry in own.iterdir() if own.is_dir() else ():
            if entry.name != "config.json":
                (folder / entry.name).symlink_to(entry)
        config = _read(own / "config.json")
        config["credHelpers"] = config.get("credHelpers", {}) | dict.fromkeys(credentials, "byoc")
        for host in credentials:
            config.get("auths", {}).pop(host, None)
        (folder / "config.json").touch(0o600)
        (folder / "config.json").write_text(json.dumps(config))
        helper = folder / "docker-credential-byoc"
        helper.write_text(
            '#!/bin/sh\nread -r host\neval printf %s "\\"\\$BYOC_LOGIN_$(printf %s "$host" | tr -c A-Za-z0-9 _)\\""\n'
        )
        helper.chmod(0o700)
        answers = {
            "BYOC_LOGIN_" + re.sub(r"[^A-Za-z0-9]", "_", host): json.dumps(
                {"ServerURL": host, "Username": login.user, "Secret": login.password}
            )
            for host, login in credentials.items()
        }
        yield {"DOCKER_CONFIG": name, "PATH": f"{name}{os.pathsep}{os.environ.get('PATH', '')}"} | answers


def check() -> None:
    """See that the user's Docker configuration can be read, if there is one.

    Raises:
        MachineError: it cannot.

    """
    _read(_folder() / "config.json")


def _folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise MachineError(
            f"{file} is not valid JSON\n{error}", hint="mend it: the docker client reads it, too"
        ) from error
