"""A serverless endpoint, as it differs from another (H-65)."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from byoc_cli.contract import hosting, paths
from byoc_cli.local.hosting.request import EndpointRequest

_UIDS = range(100_000, 1_000_000)  # above those that images have


@dataclass(frozen=True)
class Asked:
    """What else the command line says of the endpoint; `gpus` is "" where it says nothing of them."""

    gpus: str = ""
    instance_type: str = ""
    network_isolation: bool = False
    data_capture: bool = False
    startup_timeout: float | None = None


def problems(megabytes: int, asked: Asked) -> list[str]:
    """All that CreateEndpointConfig would refuse, in the words of the command line."""
    found = []
    if megabytes not in hosting.SERVERLESS_MEMORY_MB:
        sizes = ", ".join(map(str, hosting.SERVERLESS_MEMORY_MB))
        found.append(f"--serverless {megabytes}: its memory is one of {sizes} MB (H-65)")
    if asked.gpus not in {"", "none"}:
        found.append("--serverless with --gpus: a serverless endpoint has no GPU (H-65)")
    if asked.network_isolation:
        found.append("--serverless with --network-isolation: a serverless endpoint cannot be isolated (H-65)")
    if asked.instance_type:
        found.append("--serverless with --instance-type: a serverless endpoint has no instance, only memory (H-65)")
    if asked.data_capture:
        found.append("--serverless with --data-capture: a serverless endpoint captures nothing (H-65)")
    most = hosting.SERVERLESS_STARTUP_TIMEOUT_SECONDS
    if (given := asked.startup_timeout or 0) > most:
        found.append(f"--serverless with --startup-timeout {given:g}: /ping has to pass within {most:g} s (H-65)")
    return found


def user() -> str:
    """Choose as whom the container runs: neither root nor anybody that the image knows, of no group of root's."""
    number = random.choice(_UIDS)  # noqa: S311
    return f"{number}:{number}"


def remedy(request: EndpointRequest, said: str) -> str:
    """What to do about last words that tell of the user's rights; "" where they do not, or it is not serverless."""
    denied = [
        line for line in said.splitlines() if re.search(r"permission ?(error|denied)|EACCES", line, re.IGNORECASE)
    ]
    if not request.serverless or not denied:
        return ""
    if any(paths.MODEL in line for line in denied):
        return f"a serverless container is not root: let everybody read the model (chmod -R o+rX {request.model})"
    return "a serverless container is not root: `RUN chmod -R o+rwX PATH` in the Dockerfile for what it uses (H-65)"
