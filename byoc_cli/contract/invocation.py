"""InvokeEndpoint on the wire: which headers get through, and what the service says when it fails. Pure.

The shapes are those of the API model `sagemaker-runtime`: an SDK makes its exceptions of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from byoc_cli.contract import hosting
from byoc_cli.contract.channels import LOCAL_BUCKET

VARIANT = "AllTraffic"
ENDPOINT_PATH = re.compile(r"/endpoints/([^/]+)(?:/(invocations|invocations-response-stream|async-invocations))?")
INVOCATIONS = "invocations"
RESPONSE_STREAM = "invocations-response-stream"
ASYNC_INVOCATIONS = "async-invocations"
EVENT_STREAM_TYPE = "application/vnd.amazon.eventstream"

VARIANT_HEADER = "x-Amzn-Invoked-Production-Variant"
REQUEST_ID_HEADER = "x-amzn-RequestId"
ERROR_HEADER = "x-amzn-errortype"
CAUSE_HEADER = "x-byoc-cause"
"""Beside an error, for `byoc predict`: what happened on this machine, which AWS's own words do not say."""
HINT_HEADER = "x-byoc-hint"
"""And what to do about it."""

VALIDATION = "ValidationError"
"""The code of what the endpoint refuses itself."""

INFERENCE_ID_HEADER = "X-Amzn-SageMaker-Inference-Id"
STREAM_ACCEPT_HEADER = "X-Amzn-SageMaker-Accept"
STREAM_CONTENT_TYPE_HEADER = "X-Amzn-SageMaker-Content-Type"

# H-16: what a container gets of a call's headers; Prefix-Aware-Id came with a later version of the API.
REQUEST_HEADERS = (
    "Content-Type",
    "Accept",
    hosting.CUSTOM_ATTRIBUTES_HEADER,
    hosting.TARGET_MODEL_HEADER,
    "X-Amzn-SageMaker-Target-Variant",
    hosting.TARGET_CONTAINER_HEADER,
    INFERENCE_ID_HEADER,
    "X-Amzn-SageMaker-Enable-Explanations",
    "X-Amzn-SageMaker-Inference-Component",
    "X-Amzn-SageMaker-Session-Id",
    "X-Amzn-SageMaker-Prefix-Aware-Id",
)
# H-17: what a caller gets of an answer's.
RESPONSE_HEADERS = (
    "Content-Type",
    hosting.CUSTOM_ATTRIBUTES_HEADER,
    "X-Amzn-SageMaker-New-Session-Id",
    "X-Amzn-SageMaker-Closed-Session-Id",
)

_LIMITS = (
    (hosting.CUSTOM_ATTRIBUTES_HEADER, "customAttributes", hosting.MAX_CUSTOM_ATTRIBUTES),
    (INFERENCE_ID_HEADER, "inferenceId", 64),
    (hosting.TARGET_MODEL_HEADER, "targetModel", 1024),
    (hosting.TARGET_CONTAINER_HEADER, "targetContainerHostname", 63),
)
_VISIBLE = re.compile(r"[\x20-\x7e]*")
_MESSAGE_CHARACTERS = 2048


@dataclass(frozen=True)
class ServiceError:
    """An error as InvokeEndpoint answers it (H-23): `code` names the exception, "" where there is only the status."""

    code: str
    status: int
    message: str
    more: Mapping[str, str | int] = field(default_factory=dict)
    cause: str = ""
    hint: str = ""

    @property
    def body(self) -> dict[str, str | int]:
        """What is in the JSON body."""
        return {"Message" if self.code else "message": self.message, **self.more}


@dataclass(frozen=True)
class Account:
    """Whose endpoint it would be: what AWS puts into its texts."""

    endpoint: str
    region: str
    number: str

    @property
    def _group(self) -> str:
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    def model_error(
        self, status: int, original: str, *, container: str = hosting.PRIMARY, loaded: bool = True, cause: str = ""
    ) -> ServiceError:
        """An answer that is not 2xx (H-18); `loaded` is False where its body could not be read."""
        original = original[:_MESSAGE_CHARACTERS]
        kind = "client" if 400 <= status < 500 else "server"
        said = f'with message "{original}"' if loaded else "and could not load the entire response body"
        console = f"https://{self.region}.console.aws.amazon.com/cloudwatch/home?region={self.region}"
        return ServiceError(
            "ModelError",
            424,
            f"Received {kind} error ({status}) from {container} {said}. See {console}#logEventViewer:"
            f"group={self._group} in account {self.number} for more information.",
            {
                "OriginalStatusCode": status,
                "OriginalMessage": original,
                "LogStreamArn": f"arn:aws:logs:{self.region}:{self.number}:log-group:{self._group}",
                "ErrorCode": f"{'CLIENT_ERROR' if kind == 'client' else 'INTERNAL_FAILURE'}_FROM_MODEL",
            },
            cause,
        )

    def timed_out(self, seconds: float, container: str = hosting.PRIMARY) -> ServiceError:
        """No answer in time (H-20)."""
        late = "" if container == hosting.PRIMARY else f"\n{container} had the request"
        return self.model_error(
            0, hosting.timed_out(container), container=container, cause=f"no answer within {seconds:g} s{late}"
        )

    def no_answer(self, cause: str, container: str = hosting.PRIMARY) -> ServiceError:
        """The container closed the connection, or does not speak HTTP."""
        said = (
            f"Amazon SageMaker could not get a response from the {self.endpoint} endpoint. This can occur when CPU or "
            "memory utilization is high. To check your utilization, see Amazon CloudWatch. To fix this problem, use an "
            "instance type with more CPU capacity or memory."
        )
        return self.model_error(0, said, container=container, cause=cause)

    def not_found(self, name: str) -> ServiceError:
        """Another EndpointName than this endpoint's."""
        return ServiceError(
            VALIDATION,
            400,
            f"Endpoint {name} of account {self.number} not found.",
            cause=f"this endpoint's name is {self.endpoint}",
        )

    def wrong_kind(self, *, asynchronous: bool) -> ServiceError:
        """A request of the other kind than the endpoint's; the service's own words are not documented (H-50)."""
        kind, wanted = ("asynchronous", "InvokeEndpointAsync") if asynchronous else ("real-time", "InvokeEndpoint")
        return ServiceError(
            VALIDATION,
            400,
            f"Endpoint {self.endpoint} of account {self.number} is {kind}: it is invoked with {wanted}.",
            cause=f"this endpoint is {kind} (H-50)",
            hint="byoc predict --async"
            if asynchronous
            else "byoc serve --async-output FOLDER makes an asynchronous one",
        )

    def no_target(self, request_id: str) -> ServiceError:
        """A call to many models that names none."""
        return ServiceError(
            VALIDATION,
            400,
            f"Request {request_id} is missing a target model header.",
            cause="the endpoint serves many models, and the call has no TargetModel",
        )

    def one_model(self) -> ServiceError:
        """A call that names a model where there is only one."""
        return ServiceError(
            VALIDATION,
            400,
            f"Endpoint {self.endpoint} is not a multi-model endpoint and does not support target model header.",
            {"ErrorCode": "TARGET_MODEL_HEADER_NOT_SUPPORTED"},
            cause="the call has a TargetModel, and the endpoint serves one model",
        )

    def no_such_model(self, key: str, cause: str) -> ServiceError:
        """A TargetModel that is not there."""
        return ServiceError(
            VALIDATION,
            400,
            f"Failed to download model data(bucket: {LOCAL_BUCKET}, key: {key}). Please ensure that there is an object "
            "located at the URL and that the role passed to CreateModel has permissions to download the model.",
            cause=cause,
        )

    def no_archive(self, key: str, cause: str) -> ServiceError:
        """A TargetModel that is no tar.gz; the words are CreateEndpoint's."""
        return ServiceError(
            VALIDATION,
            400,
            f'Failed to extract model data archive from URL "s3://{LOCAL_BUCKET}/{key}". Please ensure that the object '
            "located at the URL is a valid tar.gz archive.",
            cause=cause,
        )

    def not_ready(self, cause: str) -> ServiceError:
        """A model that is still being loaded (H-23); the load goes on."""
        return ServiceError(
            "ModelNotReadyException",
            429,
            f"Model for endpoint {self.endpoint} variant {VARIANT} is not ready for inference yet.",
            cause=cause,
        )

    def no_container(self, hostnames: Sequence[str]) -> ServiceError:
        """A call without TargetContainerHostname where that has to choose (H-32)."""
        return ServiceError(
            VALIDATION,
            400,
            f"Endpoint {self.endpoint} is a multi-container endpoint with direct invocation and requires target "
            "container hostname header.",
            cause=f"no container was named\nTargetContainerHostname is one of {', '.join(hostnames)} (H-32)",
        )

    def unknown_container(self, name: str, hostnames: Sequence[str]) -> ServiceError:
        """A TargetContainerHostname that no container has (H-32)."""
        return ServiceError(
            VALIDATION,
            400,
            f"Target container hostname {name} does not exist in endpoint {self.endpoint}.",
            cause=f"there is no container '{name}'\nTargetContainerHostname is one of {', '.join(hostnames)} (H-32)",
        )

    def not_direct(self) -> ServiceError:
        """A TargetContainerHostname where there is nothing to choose (H-32)."""
        return ServiceError(
            VALIDATION,
            400,
            f"Endpoint {self.endpoint} is not a multi-container endpoint with direct invocation and does not support "
            "target container hostname header.",
            cause="TargetContainerHostname needs an endpoint of `byoc serve --mode direct` (H-32)",
        )


def too_large(most: int) -> ServiceError:
    """A request over `most` bytes (H-21): refused before it reaches the service, so there is a status and no code."""
    return ServiceError(
        "",
        413,
        f"HTTP content length exceeded {most} bytes.",
        cause=f"the request is larger than {most >> 20} MB (H-21)",
    )


def unavailable(cause: str) -> ServiceError:
    """Nothing is there to ask (H-23)."""
    return ServiceError("ServiceUnavailable", 503, "The service is unavailable. Try your call again.", cause=cause)


def unknown_operation(what: str) -> ServiceError:
    """No operation has that path."""
    return ServiceError(
        "UnknownOperationException", 404, f"Unknown operation {what}", cause=f"a local endpoint has no {what}"
    )


def header_problem(headers: Mapping[str, str]) -> ServiceError | None:
    """What InvokeEndpoint refuses of the headers (H-16)."""
    for name, member, most in _LIMITS:
        value = headers.get(name, "")
        if len(value) > most:
            constraint = f"Member must have length less than or equal to {most}"
        elif not _VISIBLE.fullmatch(value):
            constraint = r"Member must satisfy regular expression pattern: \p{ASCII}*"
        else:
            continue
        return invalid(value, member, constraint)
    return None


def invalid(value: str, member: str, constraint: str, cause: str = "") -> ServiceError:
    """Make a ValidationError in the service's words."""
    shown = value[:200].encode("ascii", "replace").decode()
    return ServiceError(
        VALIDATION,
        400,
        f"1 validation error detected: Value '{shown}' at '{member}' failed to satisfy constraint: {constraint}",
        cause=cause,
    )
