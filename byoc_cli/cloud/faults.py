"""botocore's exceptions, turned into what a user can act on.

ClientError is not a BotoCoreError: both are caught. What AWS says is in `Error.Code`; digits there are a proxy's page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from byoc_cli.errors import ByocError, MachineError, UsageError

LOGIN = "`aws configure`, `aws sso login`, or AWS_PROFILE"
_EXPIRED = f"your AWS credentials have expired; renew them: {LOGIN}"
_WRONG_KEY = f"AWS does not know these credentials: {LOGIN}"
_CLOCK = "compare this machine's clock with the time, and check the secret key"
_THROTTLED = "AWS asks for fewer requests; try again in a minute"
_STUMBLES = "AWS itself fails; try again in a minute"
_WRONG_WORD = "see the message: ECR names the parameter"
LOOK = "look into ~/.aws/config, ~/.aws/credentials and the variables AWS_*"

_CODES: Mapping[str, tuple[type[ByocError], str]] = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), (MachineError, _EXPIRED)),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure", "InvalidToken"),
        (MachineError, _WRONG_KEY),
    ),
    **dict.fromkeys(
        ("InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"), (MachineError, _CLOCK)
    ),
    **dict.fromkeys(
        ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"),
        (ByocError, _THROTTLED),
    ),
    "LimitExceededException": (ByocError, "delete repositories, or ask AWS for a higher quota (Service Quotas, ECR)"),
    "KmsException": (ByocError, "check that the key exists in this region, and that you may use it"),
    **dict.fromkeys(
        ("InvalidParameterException", "InvalidTagParameterException", "TooManyTagsException"), (UsageError, _WRONG_WORD)
    ),
    **dict.fromkeys(
        ("RegionDisabledException", "OptInRequired"),
        (MachineError, "enable the region for this account (AWS console, Account), or push to another one"),
    ),
    **dict.fromkeys(
        ("ServerException", "InternalFailure", "InternalError", "ServiceUnavailable", "ServiceUnavailableException"),
        (ByocError, _STUMBLES),
    ),
    "NoSuchBucket": (UsageError, "check the bucket's name; `aws s3 ls` lists yours"),
    **dict.fromkeys(
        ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"),
        (UsageError, "the bucket is in another region: set AWS_REGION to it"),
    ),
    "NoSuchKey": (ByocError, "it was deleted meanwhile: try again"),
    "InvalidObjectState": (ByocError, "it is archived: restore it from S3 Glacier first"),
}
# The right that an operation of S3's needs has another name than the operation.
_ACTIONS = {"ListObjectsV2": "s3:ListBucket", "GetObject": "s3:GetObject", "PutObject": "s3:PutObject"}
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")

_BEFORE_AWS: Sequence[tuple[tuple[type[BotoCoreError], ...], type[ByocError], str]] = (
    ((boto.NoCredentialsError,), MachineError, LOGIN),
    ((boto.PartialCredentialsError, boto.CredentialRetrievalError), MachineError, f"complete them: {LOGIN}"),
    ((boto.SSOError, boto.TokenRetrievalError), MachineError, "log in again: `aws sso login`"),
    ((boto.ProfileNotFound,), UsageError, "`aws configure list-profiles` lists them"),
    ((boto.ConfigParseError, boto.InvalidConfigError, boto.ConfigNotFound), MachineError, LOOK),
    ((boto.MissingDependencyException,), MachineError, "install it, or log in another way: " + LOGIN),
    ((boto.NoRegionError,), UsageError, "--region us-west-2, or AWS_REGION"),
    ((boto.InvalidRegionError, boto.UnknownRegionError), UsageError, "a region is a word like us-west-2"),
    ((boto.SSLError,), MachineError, "behind a proxy that opens TLS, set AWS_CA_BUNDLE to its CA"),
    ((boto.ParamValidationError,), UsageError, ""),
    (
        (boto.HTTPClientError, boto.ConnectionError),
        MachineError,
        "check the network, HTTPS_PROXY, and that the region exists",
    ),
)


@contextmanager
def translated(what: str, resource: str = "*") -> Iterator[None]:
    """Let nothing of botocore out; `what` says what was wanted ("the repository 'x' cannot be made").

    `resource` is the ARN of what is asked for: some denials do not name it.
    """
    try:
        yield
    except ClientError as error:
        raise client_fault(error, what, resource) from error
    except BotoCoreError as error:
        raise core_fault(error, what) from error
    except ValueError as error:  # botocore raises a few bare ones, for endpoints and regions
        raise UsageError(f"{what}\n{error}") from error


def check_is_aws(response_dict: Mapping[str, Any], **_: object) -> None:
    """Refuse a page that says that all is well: botocore would find nothing in it, and say nothing.

    A handler of the event `before-parse`. Other statuses are left to botocore, which tries some of them again.
    """
    media_type = str(response_dict["headers"].get("Content-Type", ""))
    if response_dict["status_code"] < 300 and "html" in media_type:
        raise _not_aws("AWS cannot be used", "200")


def _not_aws(what: str, status: str) -> MachineError:
    return MachineError(
        f"{what}\nnot AWS but something in between answered, with HTTP status {status}",
        hint="check HTTPS_PROXY, NO_PROXY and AWS_ENDPOINT_URL",
    )


def client_fault(error: ClientError, what: str, resource: str = "*") -> ByocError:
    """What AWS answered."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", "")) or str(error)
    if code.isdigit() or not code:  # the parser of XML finds no code in a page
        return _not_aws(what, code or str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "unknown")))
    cause = f"{what}\n{code}: {said}"
    if code in _DENIED:
        action = _ACTIONS.get(error.operation_name, f"*:{error.operation_name}")
        return MachineError(cause, hint=permission_hint(said) or _statement(action, resource))
    kind, hint = _CODES.get(code, (ByocError, ""))
    return kind(cause, hint=hint)


def permission_hint(said: str) -> str:
    """Name the missing action, and the statement that allows it; "" where AWS's words name none."""
    found = re.search(r"perform: ([\w-]+:\w+)(?: on resource: (\S+))?", said)
    return _statement(found[1], (found[2] or "*").rstrip(".").strip('"')) if found else ""


def _statement(action: str, resource: str) -> str:
    statement = json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})
    return f"{action} is missing; ask for this IAM statement: {statement}"


def core_fault(error: BotoCoreError, what: str) -> ByocError:
    """What went wrong before AWS could answer."""
    for classes, kind, hint in _BEFORE_AWS:
        if isinstance(error, classes):
            return kind(f"{what}\n{error}", hint=hint)
    return ByocError(f"{what}\n{error}")
