"""Asynchronous invocation: what InvokeEndpointAsync takes, and where its answers go (H-50). Pure.

The shapes are those of the API models `sagemaker-runtime` (InvokeEndpointAsync) and `sagemaker` (AsyncInferenceConfig).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from byoc_cli.contract import hosting, invocation
from byoc_cli.contract.invocation import INFERENCE_ID_HEADER, ServiceError

FILE = "file://"
"""What begins the URI of a file of this machine: SageMaker itself takes s3:// only."""

MAX_INPUT_BYTES = 1 << 30
MAX_INLINE_BYTES = 128_000
INVOCATION_TIMEOUT_SECONDS = 900
REQUEST_TTL_SECONDS = 21_600
MAX_PATH_CHARACTERS = 512  # of S3OutputPath and S3FailurePath

INPUT_HEADER = "X-Amzn-SageMaker-InputLocation"
CONTENT_TYPE_HEADER = "X-Amzn-SageMaker-Content-Type"
ACCEPT_HEADER = "X-Amzn-SageMaker-Accept"
OUTPUT_HEADER = "X-Amzn-SageMaker-OutputLocation"
FAILURE_HEADER = "X-Amzn-SageMaker-FailureLocation"
_TTL_HEADER = "X-Amzn-SageMaker-RequestTTLSeconds"
_TIMEOUT_HEADER = "X-Amzn-SageMaker-InvocationTimeoutSeconds"
_EXTENSION_HEADER = "X-Amzn-SageMaker-S3OutputPathExtension"
_FILENAME_HEADER = "X-Amzn-SageMaker-Filename"

_LOCATION = re.compile(r"(s3|file)://([^/]*)/?(.*)", re.DOTALL)
# (header, member, most characters, pattern)
_WORDS = (
    (_EXTENSION_HEADER, "s3OutputPathExtension", 512, r"^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$"),
    (_FILENAME_HEADER, "filename", 32, r"^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]*$"),
)
# (header, member, least, most)
_NUMBERS = (
    (_TTL_HEADER, "requestTTLSeconds", 60, 21_600),
    (_TIMEOUT_HEADER, "invocationTimeoutSeconds", 1, 3_600),
)
# H-16: what a container gets of a call's headers, under the name that it has there.
_PASSED = {
    CONTENT_TYPE_HEADER: "Content-Type",
    ACCEPT_HEADER: "Accept",
    hosting.CUSTOM_ATTRIBUTES_HEADER: hosting.CUSTOM_ATTRIBUTES_HEADER,
    INFERENCE_ID_HEADER: INFERENCE_ID_HEADER,
}


@dataclass(frozen=True)
class AsyncInferenceConfig:
    """What makes an endpoint asynchronous; `output` and `failure` are URIs of folders."""

    output: str
    failure: str
    concurrency: int = hosting.ASYNC_CONCURRENCY

    @property
    def described(self) -> dict[str, object]:
        """As DescribeEndpoint has it."""
        return {
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": self.concurrency},
            "OutputConfig": {"S3OutputPath": self.output, "S3FailurePath": self.failure},
        }


@dataclass(frozen=True)
class AsyncRequest:
    """One request: `id` is of ours and names its files; `input` is a URI, "" where the body came with the request."""

    id: str
    inference_id: str
    input: str
    body: bytes
    headers: Mapping[str, str]
    output: str
    failure: str
    ttl: float = REQUEST_TTL_SECONDS
    timeout: float = INVOCATION_TIMEOUT_SECONDS


def read(headers: Mapping[str, str], body: bytes, config: AsyncInferenceConfig, new_id: str) -> AsyncRequest:
    """Make a request of what came.

    Raises:
        Invalid: InvokeEndpointAsync would refuse it.

    """
    location = headers.get(INPUT_HEADER, "")
    _check_input(location, body)
    for name, member, most, pattern in _WORDS:
        value = headers.get(name)
        if value is not None and len(value) > most:
            raise Invalid(value, member, f"Member must have length less than or equal to {most}")
        if value is not None and not re.search(pattern, value):
            raise Invalid(value, member, f"Member must satisfy regular expression pattern: {pattern}")
        if ".." in (value or "").split("/"):
            raise Invalid(str(value), member, "Member must not lead out of the output path")
    ttl, timeout = (_number(headers.get(name), member, least, most) for name, member, least, most in _NUMBERS)
    extension = headers.get(_EXTENSION_HEADER, "").strip("/")
    folder = _joined(config.output, extension) if extension else config.output
    return AsyncRequest(
        id=new_id,
        inference_id=headers.get(INFERENCE_ID_HEADER) or new_id,
        input=location,
        body=body,
        headers={ours: headers[name] for name, ours in _PASSED.items() if name in headers},
        output=_joined(folder, headers.get(_FILENAME_HEADER) or f"{new_id}.out"),
        failure=_joined(config.failure, f"{new_id}-error.out"),
        ttl=ttl or REQUEST_TTL_SECONDS,
        timeout=timeout or INVOCATION_TIMEOUT_SECONDS,
    )


class Invalid(Exception):
    """A ValidationError of InvokeEndpointAsync."""

    def __init__(self, value: str, member: str, constraint: str, cause: str = "") -> None:
        super().__init__(constraint)
        self.error: ServiceError = invocation.invalid(value, member, constraint, cause)


def _check_input(location: str, body: bytes) -> None:
    if bool(location) == bool(body):
        both = "Body and InputLocation are mutually exclusive. Provide exactly one of them."
        raise Invalid(location, "inputLocation", both, f"{'both' if body else 'neither'} came with the request")
    if len(body) > MAX_INLINE_BYTES:
        raise Invalid("", "body", f"Member must have length less than or equal to {MAX_INLINE_BYTES}")
    if not location:
        return
    found = _LOCATION.fullmatch(location)
    # A file has no host, an object has a bucket.
    if not found or bool(found[2]) == (found[1] == "file") or not found[3]:
        raise Invalid(
            location,
            "inputLocation",
            "Member must satisfy regular expression pattern: ^(https|s3)://([^/]+)/?(.*)$",
            "a local endpoint takes s3://BUCKET/KEY and file:///PATH",
        )
    if not location.isascii():
        raise Invalid(location, "inputLocation", r"Member must satisfy regular expression pattern: \p{ASCII}*")
    if found[1] == "s3" and len(location) > 1024:
        raise Invalid(location, "inputLocation", "Member must have length less than or equal to 1024")


def _number(value: str | None, member: str, least: int, most: int) -> int:
    """Read a number; 0 where there is none."""
    if value is None:
        return 0
    number = int(value) if re.fullmatch(r"[0-9]{1,9}", value) else 0
    if number < least:
        raise Invalid(value, member, f"Member must have value greater than or equal to {least}")
    if number > most:
        raise Invalid(value, member, f"Member must have value less than or equal to {most}")
    return number


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def path_problem(uri: str) -> str:
    """Why CreateEndpointConfig would refuse an S3OutputPath or S3FailurePath, or ""."""
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", uri):
        return "no bucket has that name: 3 to 63 lower-case letters, digits, '.' and '-'"
    return f"it has more than {MAX_PATH_CHARACTERS} characters" if len(uri) > MAX_PATH_CHARACTERS else ""


def too_large(location: str, size: int) -> str:
    """Say that an input is over the limit (H-50)."""
    return f"{location} has {size:,} bytes; an asynchronous request has at most {MAX_INPUT_BYTES:,} (1 GB, H-50)"


def expired(ttl: float) -> str:
    """Say that a request waited too long."""
    return f"The request was not begun within its RequestTTLSeconds ({ttl:g} s)."


NO_LENGTH = "The response from container primary did not specify the required Content-Length header"
"""What the endpoint says of an answer in chunks."""
NO_LENGTH_HINT = "an asynchronous endpoint takes no answer in chunks: let the container send a Content-Length (H-50)"
ENDED = "The endpoint ended before the request was begun."
