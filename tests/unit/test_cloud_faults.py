"""botocore's exceptions as a user reads them: every row of what botocore raises, made with its own classes."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as boto

from byoc_cli.cloud import faults
from byoc_cli.errors import ByocError, MachineError, UsageError


def translated(error: Exception) -> ByocError:
    with pytest.raises(ByocError) as caught, faults.translated("x cannot be done"):
        raise error
    assert caught.value.message.startswith("x cannot be done\n")
    return caught.value


def answer(code: str, message: str = "said", operation: str = "CreateRepository") -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "kind", "said", "hint"),
    [
        (boto.NoRegionError(), UsageError, "You must specify a region.", "--region us-west-2, or AWS_REGION"),
        (
            boto.InvalidRegionError(region_name="us west 2"),
            UsageError,
            "Provided region_name 'us west 2' doesn't match a supported format.",
            "a region is a word like us-west-2",
        ),
        (
            boto.UnknownRegionError(region_name="foo", error_msg="No partition found."),
            UsageError,
            "Unknown region: 'foo'. No partition found.",
            "a region is a word like us-west-2",
        ),
        (boto.NoCredentialsError(), MachineError, "Unable to locate credentials", "`aws configure`, "),
        (
            boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            MachineError,
            "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
            "complete them: ",
        ),
        (
            boto.CredentialRetrievalError(provider="custom-process", error_msg="no"),
            MachineError,
            "Error when retrieving credentials from custom-process: no",
            "complete them: ",
        ),
        (
            boto.ProfileNotFound(profile="nope"),
            UsageError,
            "The config profile (nope) could not be found",
            "`aws configure list-profiles` lists them",
        ),
        (boto.ConfigParseError(path="~/.aws/config"), MachineError, "Unable to parse config file", "look into "),
        (boto.InvalidConfigError(error_msg="no such source_profile"), MachineError, "", "look into ~/.aws/config"),
        (boto.MissingDependencyException(msg="awscrt"), MachineError, "awscrt", "install it, or log in another way: "),
        (boto.SSOTokenLoadError(error_msg="Token for s does not exist"), MachineError, "", "log in again: "),
        (boto.UnauthorizedSSOTokenError(), MachineError, "", "log in again: `aws sso login`"),
        (boto.TokenRetrievalError(provider="sso", error_msg="expired"), MachineError, "", "log in again: "),
        (
            boto.EndpointConnectionError(endpoint_url="https://x"),
            MachineError,
            'Could not connect to the endpoint URL: "https://x"',
            "check the network, HTTPS_PROXY, and that the region exists",
        ),
        (boto.ConnectTimeoutError(endpoint_url="https://x"), MachineError, "", "check the network"),
        (boto.ReadTimeoutError(endpoint_url="https://x"), MachineError, "", "check the network"),
        (boto.ConnectionClosedError(endpoint_url="https://x"), MachineError, "", "check the network"),
        (boto.ProxyConnectionError(proxy_url="http://p"), MachineError, "", "check the network, HTTPS_PROXY"),
        (
            boto.SSLError(endpoint_url="https://x", error=OSError("CERTIFICATE_VERIFY_FAILED")),
            MachineError,
            "SSL validation failed for https://x CERTIFICATE_VERIFY_FAILED",
            "behind a proxy that opens TLS, set AWS_CA_BUNDLE to its CA",
        ),
        (boto.ParamValidationError(report="too short"), UsageError, "Parameter validation failed:\ntoo short", ""),
        (boto.UnknownServiceError(service_name="x", known_service_names=[]), ByocError, "", ""),
        (ValueError("Invalid endpoint: x"), UsageError, "Invalid endpoint: x", ""),
    ],
)
def test_before_aws_could_answer(error: Exception, kind: type[ByocError], said: str, hint: str) -> None:
    fault = translated(error)
    assert type(fault) is kind
    assert said in fault.message
    assert fault.hint.startswith(hint)
    assert bool(fault.hint) == bool(hint)


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        *(
            (code, MachineError, "your AWS credentials have expired")
            for code in ("ExpiredToken", "ExpiredTokenException")
        ),
        *(
            (code, MachineError, "AWS does not know these credentials")
            for code in ("InvalidClientTokenId", "UnrecognizedClientException")
        ),
        *(
            (code, MachineError, "compare this machine's clock")
            for code in ("InvalidSignatureException", "SignatureDoesNotMatch")
        ),
        *((code, ByocError, "AWS asks for fewer requests") for code in ("Throttling", "ThrottlingException")),
        ("LimitExceededException", ByocError, "delete repositories, or ask AWS for a higher quota"),
        ("KmsException", ByocError, "check that the key exists"),
        ("InvalidParameterException", UsageError, "see the message"),
        ("NoSuchBucket", UsageError, "check the bucket's name"),
        ("PermanentRedirect", UsageError, "the bucket is in another region: set AWS_REGION"),
        ("InvalidObjectState", ByocError, "it is archived"),
        ("SlowDown", ByocError, "AWS asks for fewer requests"),
        ("InvalidTagParameterException", UsageError, "see the message"),
        ("RegionDisabledException", MachineError, "enable the region for this account"),
        ("ServerException", ByocError, "AWS itself fails; try again"),
        ("NobodyKnowsThisException", ByocError, ""),
    ],
)
def test_what_aws_answered(code: str, kind: type[ByocError], hint: str) -> None:
    fault = translated(answer(code))
    assert type(fault) is kind
    assert fault.message == f"x cannot be done\n{code}: said"
    assert fault.hint.startswith(hint)


@pytest.mark.parametrize("code", ["502", "404"])
def test_a_proxy_s_page_has_a_number_for_a_code(code: str) -> None:
    fault = translated(answer(code, "Bad Gateway"))
    assert type(fault) is MachineError
    assert fault.message == (f"x cannot be done\nnot AWS but something in between answered, with HTTP status {code}")


def test_a_page_that_is_parsed_as_xml_has_no_code() -> None:
    response: Any = {"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 407}}
    error = boto.ClientError(response, "GetCallerIdentity")
    fault = translated(error)
    assert type(fault) is MachineError
    assert fault.message == "x cannot be done\nnot AWS but something in between answered, with HTTP status 407"


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_a_missing_permission_is_named_with_its_statement(code: str) -> None:
    said = "User: arn:x is not authorized to perform: ecr:PutImage on resource: arn:aws:ecr:r:1:repository/x because …"
    fault = translated(answer(code, said))
    assert type(fault) is MachineError
    assert fault.hint == (
        "ecr:PutImage is missing; ask for this IAM statement: "
        '{"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "arn:aws:ecr:r:1:repository/x"}'
    )


def test_a_denial_that_names_nothing_names_the_operation() -> None:
    assert '"Action": "*:PutImage"' in translated(answer("AccessDenied", "no", "PutImage")).hint


@pytest.mark.parametrize(
    ("operation", "action"),
    [("ListObjectsV2", "s3:ListBucket"), ("GetObject", "s3:GetObject"), ("PutObject", "s3:PutObject")],
)
def test_a_denial_of_s3_names_the_right_and_what_it_is_for(operation: str, action: str) -> None:
    with pytest.raises(MachineError) as caught, faults.translated("x", "arn:aws:s3:::b/k"):
        raise answer("AccessDenied", "Access Denied", operation)
    assert f'{{"Effect": "Allow", "Action": "{action}", "Resource": "arn:aws:s3:::b/k"}}' in caught.value.hint


def test_what_a_denial_of_s3_quotes_is_read() -> None:
    said = 'User: arn:x is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::b/k" because no policy'
    assert '"Resource": "arn:aws:s3:::b/k"' in translated(answer("AccessDenied", said, "GetObject")).hint


def test_a_page_of_html_is_no_answer_of_aws() -> None:
    page = {"headers": {"Content-Type": "text/html; charset=utf-8"}, "status_code": 200}
    with pytest.raises(MachineError, match="something in between answered, with HTTP status 200"):
        faults.check_is_aws(page)
    faults.check_is_aws({"headers": {"Content-Type": "application/x-amz-json-1.1"}, "status_code": 200})
    faults.check_is_aws(page | {"status_code": 503})  # botocore tries it again
