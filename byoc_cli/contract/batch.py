"""Batch transform: what CreateTransformJob takes, and what the container is told of it (H-55 to H-59). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from byoc_cli.contract import hosting

SplitType = Literal["None", "Line", "RecordIO", "TFRecord"]
BatchStrategy = Literal["SingleRecord", "MultiRecord"]
AssembleWith = Literal["None", "Line"]

EXECUTION_PARAMETERS_PATH = "/execution-parameters"  # H-56
MEGABYTE = 1 << 20
MAX_PAYLOAD_MB = 100  # H-57; also of the product with MaxConcurrentTransforms
TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 600, 3600  # H-59
RETRIES = MAX_RETRIES = 3  # H-59
MAX_VARIABLES = 16  # H-59

_WORDS: Mapping[str, str] = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}


@dataclass(frozen=True)
class Asked:
    """What a request, or a container, asks for; None for what it leaves open."""

    max_concurrent: int | None = None
    strategy: BatchStrategy | None = None
    max_payload_mb: int | None = None

    def over(self, other: Asked) -> Asked:
        """What stands here wins over the other."""
        return Asked(
            other.max_concurrent if self.max_concurrent is None else self.max_concurrent,
            self.strategy or other.strategy,
            other.max_payload_mb if self.max_payload_mb is None else self.max_payload_mb,
        )


@dataclass(frozen=True)
class Parameters:
    """What a job goes by."""

    max_concurrent: int = 1
    strategy: BatchStrategy = "MultiRecord"
    max_payload_mb: int = 6

    @property
    def payload_bytes(self) -> int:
        """The largest body; 0 where a file is streamed whole."""
        return self.max_payload_mb * MEGABYTE

    def __str__(self) -> str:
        """As the platform's own log has it."""
        return (
            f"MaxConcurrentTransforms={self.max_concurrent}, MaxPayloadInMB={self.max_payload_mb}, "
            f"BatchStrategy={_WORDS[self.strategy]}"
        )


def resolve(request: Asked, container: Asked) -> Parameters:
    """The request wins over the container, and it over the defaults (H-56)."""
    asked = request.over(container)
    defaults = Parameters()
    return Parameters(
        defaults.max_concurrent if asked.max_concurrent is None else asked.max_concurrent,
        asked.strategy or defaults.strategy,
        defaults.max_payload_mb if asked.max_payload_mb is None else asked.max_payload_mb,
    )


def problems(parameters: Parameters) -> list[str]:
    """What SageMaker would refuse (H-57)."""
    product = parameters.max_concurrent * parameters.max_payload_mb
    if product <= MAX_PAYLOAD_MB:
        return []
    return [f"MaxConcurrentTransforms times MaxPayloadInMB is {product}; at most {MAX_PAYLOAD_MB} is allowed (H-57)"]


def environment_problems(variables: Mapping[str, str]) -> list[str]:
    """What CreateTransformJob would refuse of its own Environment (H-59)."""
    many = len(variables) > MAX_VARIABLES
    found = [f"{len(variables)} environment variables; a transform job takes {MAX_VARIABLES} (H-59)"] if many else []
    return found + hosting.environment_problems(variables)


def environment(asked: Asked) -> dict[str, str]:
    """What the platform sets: three of them only as far as the request does (H-55)."""
    variables = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": asked.max_payload_mb,
        "SAGEMAKER_BATCH_STRATEGY": _WORDS[asked.strategy] if asked.strategy else None,
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": asked.max_concurrent,
    }
    return {name: str(value) for name, value in variables.items() if value is not None}


def execution_parameters(body: bytes) -> Asked:
    """Read a container's answer to /execution-parameters (H-56).

    Raises:
        ValueError: it is not what the documents ask for; says why.

    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(answer, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - of a value that came over the wire
    return Asked(
        _number(answer, "MaxConcurrentTransforms", 1),
        _strategy(answer.get("BatchStrategy")),
        _number(answer, "MaxPayloadInMB", 0, MAX_PAYLOAD_MB),
    )


def _number(answer: Mapping[str, Any], key: str, least: int, most: int | None = None) -> int | None:
    value = answer.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        limits = f"{least} to {most}" if most is not None else f"of at least {least}"
        raise ValueError(f"{key} is {json.dumps(value)}, not a whole number {limits}")
    return value


def _strategy(value: object) -> BatchStrategy | None:
    if value is None:
        return None
    # The documents write MULTI_RECORD here and MultiRecord in the API.
    for word in get_args(BatchStrategy):
        if value in (word, _WORDS[word]):
            return word  # type: ignore[no-any-return]
    raise ValueError(f"BatchStrategy is {json.dumps(value)}, not {' or '.join(_WORDS.values())}")


# -- what the platform says --------------------------------------------------------------------------------------------


def bad_status(status: int) -> str:
    """What the job's log says of an answer that is not 2xx."""
    return f"ClientError: {status}" if 400 <= status < 500 else f"Bad HTTP status received from algorithm: {status}"


NO_RESPONSE = "Unable to get response from algorithm"
CLIENT_ERROR = "ClientError: See job logs for more information"
ALGORITHM_ERROR = "AlgorithmError: See job logs for more information"
