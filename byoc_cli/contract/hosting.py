"""Hosting: how SageMaker starts, asks and stops an inference container. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from byoc_cli.contract import capabilities

COMMAND = "serve"  # H-01
PORT = 8080  # H-12
PING_PATH = "/ping"
INVOCATIONS_PATH = "/invocations"
ASYNC_INVOCATIONS_PATH = "/async-invocations"  # of the local endpoint, beside its own of InvokeEndpointAsync
PING_TIMEOUT_SECONDS = 2.0  # H-10
STARTUP_TIMEOUT_SECONDS = 480.0  # H-11
INVOCATION_TIMEOUT_SECONDS = 60.0  # H-20
STREAM_TIMEOUT_SECONDS = 480.0  # H-20: of a streamed answer
PING_INTERVAL_SECONDS = 2.0  # H-24
PING_USER_AGENT = "AHC/2.0"  # H-24
ASYNC_MAX_CONCURRENCY = 1_000  # H-50
ASYNC_CONCURRENCY = 4  # ours: "SageMaker chooses an optimal value"
ACCEPT_SECONDS = 0.25  # H-13
STOP_GRACE_SECONDS = 30  # H-07
MAX_PAYLOAD_BYTES = 25 * 1024 * 1024  # H-21
OLD_MAX_PAYLOAD_BYTES = 6 * 1024 * 1024  # H-21: older documents and the API model

MAX_CONTAINERS = 15  # H-32
BETWEEN_BYTES = 5 * 1024 * 1024  # H-32: an answer on its way to the next container
PRIMARY = "primary"
"""What an endpoint's only container is called."""
BIND_TO_PORT = "SAGEMAKER_BIND_TO_PORT"  # H-30
SAFE_PORT_RANGE = "SAGEMAKER_SAFE_PORT_RANGE"

# H-65: a serverless endpoint.
SERVERLESS_MEMORY_MB = (1024, 2048, 3072, 4096, 5120, 6144)
SERVERLESS_STARTUP_TIMEOUT_SECONDS = 180.0  # H-11
SERVERLESS_MAX_PAYLOAD_BYTES = 4 * 1024 * 1024  # H-21
SERVERLESS_MAX_IMAGE_BYTES = 10 * 1024**3

CUSTOM_ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"  # H-16
MAX_CUSTOM_ATTRIBUTES = 1024  # H-16: characters
TARGET_MODEL_HEADER = "X-Amzn-SageMaker-Target-Model"
TARGET_CONTAINER_HEADER = "X-Amzn-SageMaker-Target-Container-Hostname"

_VARIABLE = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*$")
_HOSTNAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
# Nobody has documented the platform's own numbers, nor may an image know them: these are nobody's defaults.
_FIRST_BIND_PORT = 18081
_FIRST_SAFE_PORT, _SAFE_PORTS = 20000, 500


def timed_out(container: str = PRIMARY) -> str:
    """What stands in the ModelError after 60 s (H-20)."""
    return (
        f"Your invocation timed out while waiting for a response from container {container}. Review the latency "
        "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
    )


def hostname(index: int) -> str:
    """Return container-1, container-2, …: the name of a container that was given none (H-32)."""
    return f"container-{index + 1}"


def bind_port(index: int) -> int:
    """Return the port on which one of several containers has to listen (H-30)."""
    return _FIRST_BIND_PORT + index


def bind_variables(index: int) -> dict[str, str]:
    """Return what tells one of several containers its ports (H-30)."""
    first = _FIRST_SAFE_PORT + index * _SAFE_PORTS
    return {BIND_TO_PORT: str(bind_port(index)), SAFE_PORT_RANGE: f"{first}-{first + _SAFE_PORTS - 1}"}


def hostname_problems(hostnames: Sequence[str]) -> list[str]:
    """What CreateModel would refuse of the names of several containers (H-32)."""
    problems = []
    if len(hostnames) > MAX_CONTAINERS:
        problems.append(f"{len(hostnames)} containers; an endpoint has at most {MAX_CONTAINERS} (H-32)")
    for name in dict.fromkeys(hostnames):
        if not _HOSTNAME.fullmatch(name):
            problems.append(
                f"container '{name}': a name is up to 63 letters, digits and single '-' between them (H-32)"
            )
        if hostnames.count(name) > 1:
            problems.append(f"container '{name}': {hostnames.count(name)} have this name (H-32)")
    return problems


def label_problem(reference: str, labels: Mapping[str, str]) -> str:
    """What CreateModel says of an image that may not be one of several, or "" (H-31)."""
    if labels.get(capabilities.BIND_TO_PORT) == capabilities.CLAIMED:
        return ""
    label = f"{capabilities.BIND_TO_PORT}={capabilities.CLAIMED}"
    return f"Your Ecr Image {reference} does not contain required {label} Docker label(s)."


def model_error(status: int, message: str) -> str:
    """What InvokeEndpoint says of an answer that is not 2xx (H-18)."""
    kind = "client" if 400 <= status < 500 else "server"
    return f'ModelError: Received {kind} error ({status}) from primary with message "{message}"'


def timeout_error() -> str:
    """What InvokeEndpoint says after 60 s (H-20)."""
    return model_error(0, timed_out())


def cannot_start() -> str:
    """What the endpoint says of a container that ends before it is ready (H-27)."""
    return (
        "CannotStartContainerError. Please ensure the model container for variant AllTraffic starts correctly "
        "when invoked with 'docker run <image> serve'"
    )


def ping_failed(container: str = PRIMARY) -> str:
    """What the endpoint says of a container that never answers /ping (H-27)."""
    who = "primary container" if container == PRIMARY else container
    return f"The {who} for production variant AllTraffic did not pass the ping health check."


def serverless_image_problems(size: int) -> list[str]:
    """What CreateEndpoint would refuse of an image for a serverless endpoint, of `size` bytes unpacked (H-65)."""
    most = SERVERLESS_MAX_IMAGE_BYTES
    return [f"Image size {size} is greater than supported size {most} (H-65)"] if size > most else []


def environment_problems(variables: Mapping[str, str]) -> list[str]:
    """What CreateModel would refuse (H-08)."""
    problems = []
    if len(variables) > 100:
        problems.append(f"{len(variables)} environment variables; at most 100 are allowed (H-08)")
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or len(name) > 1024:
            problems.append(f"environment variable '{name}': a name is letters, digits and '_' (H-08)")
        if len(value) > 1024:
            problems.append(
                f"environment variable '{name}': its value has {len(value)} characters, at most 1,024 (H-08)"
            )
    if sum(len(name) + len(value) for name, value in variables.items()) > 32 * 1024:
        problems.append("the environment is larger than 32 KB (H-08)")
    return problems
