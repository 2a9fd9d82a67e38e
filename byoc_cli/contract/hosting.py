"""Hosting: how SageMaker starts, asks and stops an inference container. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

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

# H-65: a serverless endpoint.
SERVERLESS_MEMORY_MB = (1024, 2048, 3072, 4096, 5120, 6144)
SERVERLESS_STARTUP_TIMEOUT_SECONDS = 180.0  # H-11
SERVERLESS_MAX_PAYLOAD_BYTES = 4 * 1024 * 1024  # H-21
SERVERLESS_MAX_IMAGE_BYTES = 10 * 1024**3

CUSTOM_ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"  # H-16
TARGET_MODEL_HEADER = "X-Amzn-SageMaker-Target-Model"

TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)

_VARIABLE = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*$")


def model_error(status: int, message: str) -> str:
    """What InvokeEndpoint says of an answer that is not 2xx (H-18)."""
    kind = "client" if 400 <= status < 500 else "server"
    return f'ModelError: Received {kind} error ({status}) from primary with message "{message}"'


def timeout_error() -> str:
    """What InvokeEndpoint says after 60 s (H-20)."""
    return model_error(0, TIMED_OUT)


def cannot_start() -> str:
    """What the endpoint says of a container that ends before it is ready (H-27)."""
    return (
        "CannotStartContainerError. Please ensure the model container for variant AllTraffic starts correctly "
        "when invoked with 'docker run <image> serve'"
    )


def ping_failed() -> str:
    """What the endpoint says of a container that never answers /ping (H-27)."""
    return "The primary container for production variant AllTraffic did not pass the ping health check."


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
