"""Log the docker client in: through its own door, so that it keeps the password as its user wants."""

from __future__ import annotations

import os
import subprocess

from byoc_cli.engine import builders
from byoc_cli.errors import MachineError


def docker_login(host: str, user: str, password: str) -> None:
    """Run `docker login --password-stdin`.

    Raises:
        MachineError: there is no docker client, or it refuses; its own words.

    """
    clients = builders.clients(os.environ)
    if not clients:
        raise MachineError("there is no docker client on PATH", hint="install the docker CLI; byoc push needs none")
    command = [clients[0], "login", "--username", user, "--password-stdin", host]
    ran = subprocess.run(command, input=password, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        said = ran.stderr.strip().replace(password, "…")
        # The login itself was good: the client has nowhere to keep it.
        helper = "credential" in said
        hint = "mend the helper that ~/.docker/config.json names (credsStore, credHelpers), or take its line out"
        raise MachineError(f"docker login to {host} failed\n{said}", hint=hint if helper else "")
