"""Every way in which a push fails: tried on the wire, and read as a user reads it."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import docker
import pytest

from byoc_cli.engine import docker_engine, push
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import MachineError
from tests.integration.push.conftest import REGION, Shop, tiny_image
from tests.integration.push.ecr import ACCOUNT
from tests.integration.push.engine import Engine
from tests.integration.push.registry import Answer, Cut, Fault, Registry, refusal
from tests.integration.world import Ran

pytestmark = pytest.mark.integration

LOGIN = "hint: `aws configure`, `aws sso login`, or AWS_PROFILE"
UPLOAD, MANIFESTS = "/blobs/uploads/", "/manifests/"
ARN = "arn:aws:iam::123456789012:user/ann"

DENIED = (
    f"User: {ARN} is not authorized to perform: ecr:InitiateLayerUpload on resource: "
    "arn:aws:ecr:us-west-2:123456789012:repository/x because no identity-based policy allows it"
)


def missing(action: str, resource: str) -> str:
    """The hint for a missing permission: a statement that can be copied."""
    statement = json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})
    return f"{action} is missing; ask for this IAM statement: {statement}"


def check(ran: Ran, code: int, *lines: str) -> None:
    """The whole of the error: each line matches, in order; nothing else, and no traceback."""
    assert "Traceback" not in ran.stderr
    said = ran.error.rstrip("\n").split("\n")
    assert ran.code == code, ran.error
    assert ran.stdout == ""
    assert len(said) == len(lines), ran.error
    for text, pattern in zip(said, lines, strict=True):
        assert re.fullmatch(pattern, text), f"{text!r} is not {pattern!r}"


def plain(*lines: str) -> tuple[str, ...]:
    return tuple(re.escape(line) for line in lines)


# -- credentials, region, network: before AWS says a word ------------------------------------------------------------


def test_no_credentials(shop: Shop) -> None:
    ran = shop.push(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    check(
        ran,
        3,
        *plain("error: there are no AWS credentials", "neither in the environment nor in ~/.aws", "", LOGIN),
    )


def test_partial_credentials(shop: Shop) -> None:
    ran = shop.push(AWS_SECRET_ACCESS_KEY="")
    check(
        ran,
        3,
        *plain(
            f"error: AWS in {REGION} cannot be used",
            "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
            "",
            "hint: complete them: `aws configure`, `aws sso login`, or AWS_PROFILE",
        ),
    )


def test_no_such_profile(shop: Shop) -> None:
    check(
        shop.push("--profile", "nope"),
        2,
        *plain(
            "error: the AWS profile cannot be used",
            "The config profile (nope) could not be found",
            "",
            "hint: `aws configure list-profiles` lists them",
        ),
    )


@pytest.mark.parametrize("end", ["\n", " "])
def test_a_credential_with_a_newline_is_refused_and_not_shown(shop: Shop, end: str) -> None:
    ran = shop.push(AWS_SESSION_TOKEN=f"topsecret{end}")
    check(
        ran,
        3,
        *plain(
            "error: the AWS credentials have a blank or a newline in them",
            "",
            "hint: take it off: look into ~/.aws/config, ~/.aws/credentials and the variables AWS_*",
        ),
    )
    assert "topsecret" not in ran.stderr
    assert shop.aws.operations == []


@pytest.mark.parametrize(
    ("config", "variables", "said"),
    [
        ("credential_process = /no/such/program", {}, ".*'/no/such/program'"),
        ("credential_process = echo nonsense", {}, "Expecting value: .*"),
        (
            "",
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/token", "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/ci"},
            ".*'/no/token'",
        ),
        (
            f"role_arn = arn:aws:iam::{ACCOUNT}:role/x\nsource_profile = gone",
            {},
            'The source_profile "gone" referenced in the profile "default" does not exist.',
        ),
        ("this is no line", {}, "Unable to parse config file: .*"),
    ],
)
def test_credentials_that_cannot_be_had(shop: Shop, config: str, variables: dict[str, str], said: str) -> None:
    (shop.home / ".aws").mkdir()
    (shop.home / ".aws" / "config").write_text(f"[default]\n{config}\n")
    ran = shop.push(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", **variables)
    hint = r"hint: look into ~/\.aws/config, ~/\.aws/credentials and the variables AWS_\*"
    check(ran, 3, f"error: (AWS in {REGION}|the AWS profile|the AWS credentials) cannot be (used|read)", said, "", hint)


def test_credentials_that_are_renewed_and_have_expired_all_the_same(shop: Shop) -> None:
    old = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c"}
    program = shop.home / "give"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(old | {'Expiration': '2020-01-01T00:00:00Z'})}'\n")
    program.chmod(0o755)
    (shop.home / ".aws").mkdir()
    (shop.home / ".aws" / "config").write_text(f"[default]\ncredential_process = {program}\n")
    ran = shop.push(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    check(ran, 3, "error: your AWS credentials cannot be used", ".*still expired.*", "", f".*{re.escape(LOGIN)}")


def sso(shop: Shop, expires: str) -> dict[str, str]:
    """A profile of SSO, whose cached token has expired, or is not there."""
    (shop.home / ".aws" / "sso" / "cache").mkdir(parents=True)
    (shop.home / ".aws" / "config").write_text(
        "[default]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = dev\n"
        "[sso-session s]\nsso_region = us-west-2\nsso_start_url = https://example.invalid/start\n"
    )
    if expires:
        from hashlib import sha1

        cache = shop.home / ".aws" / "sso" / "cache" / f"{sha1(b's').hexdigest()}.json"
        cache.write_text(json.dumps({"accessToken": "x", "expiresAt": expires, "region": "us-west-2"}))
    return {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        ("", "Error loading SSO Token: Token for s does not exist"),
        ("2020-01-01T00:00:00Z", "Error when retrieving token from sso: Token has expired and refresh failed"),
    ],
)
def test_sso_that_is_not_logged_in_or_has_expired(shop: Shop, expires: str, said: str) -> None:
    ran = shop.push(**sso(shop, expires))
    check(ran, 3, *plain(f"error: AWS in {REGION} cannot be used", said, "", "hint: log in again: `aws sso login`"))


def test_a_region_that_is_no_word(shop: Shop) -> None:
    ran = shop("push", "--region", "us west 2")
    check(ran, 2, *plain("error: 'us west 2' is no AWS region", "", "hint: a region is a word like us-west-2"))


def test_an_unknown_region_is_said_before_the_others_are_pushed_to(shop: Shop) -> None:
    ran = shop("push", "--region", REGION, "--region", "us-west-9", AWS_ENDPOINT_URL="")
    check(
        ran,
        2,
        "error: there is no AWS region 'us-west-9'",
        r"known to this version of botocore: \d+ regions",
        "",
        r"hint: did you mean us-west-\d\?",
    )


def test_aws_cannot_be_reached(shop: Shop) -> None:
    ran = shop.push(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    check(
        ran,
        3,
        *plain(
            f"error: AWS in {REGION} cannot be used",
            'Could not connect to the endpoint URL: "http://127.0.0.1:1/"',
            "",
            "hint: check the network, HTTPS_PROXY, and that the region exists",
        ),
    )


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    """An HTTPS server whose certificate nobody signed but itself."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_certificate_that_is_not_trusted(shop: Shop, untrusted: str) -> None:
    ran = shop.push(AWS_ENDPOINT_URL=untrusted)
    check(
        ran,
        3,
        f"error: AWS in {REGION} cannot be used",
        f"SSL validation failed for {untrusted}/ .*CERTIFICATE_VERIFY_FAILED.*",
        "",
        "hint: behind a proxy that opens TLS, set AWS_CA_BUNDLE to its CA",
    )


# -- what AWS says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "code", "message", "exit_code", "hint"),
    [
        (
            "GetCallerIdentity",
            "ExpiredToken",
            "The security token included in the request is expired",
            3,
            "your AWS credentials have expired; renew them: `aws configure`, `aws sso login`, or AWS_PROFILE",
        ),
        (
            "DescribeRepositories",
            "ExpiredTokenException",
            "The security token included in the request is expired",
            3,
            "your AWS credentials have expired; renew them: `aws configure`, `aws sso login`, or AWS_PROFILE",
        ),
        (
            "GetCallerIdentity",
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            3,
            "AWS does not know these credentials: `aws configure`, `aws sso login`, or AWS_PROFILE",
        ),
        (
            "DescribeRepositories",
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            3,
            "AWS does not know these credentials: `aws configure`, `aws sso login`, or AWS_PROFILE",
        ),
        (
            "GetCallerIdentity",
            "SignatureDoesNotMatch",
            "Signature expired: 20200101T000000Z is now earlier than 20260101T000000Z",
            3,
            "compare this machine's clock with the time, and check the secret key",
        ),
        (
            "CreateRepository",
            "LimitExceededException",
            "The registry with id '123456789012' already has the maximum allowed number of repositories",
            1,
            "delete repositories, or ask AWS for a higher quota (Service Quotas, ECR)",
        ),
        (
            "CreateRepository",
            "KmsException",
            "The key is disabled",
            1,
            "check that the key exists in this region, and that you may use it",
        ),
        (
            "CreateRepository",
            "AccessDeniedException",
            DENIED.replace("InitiateLayerUpload", "CreateRepository"),
            3,
            missing("ecr:CreateRepository", "arn:aws:ecr:us-west-2:123456789012:repository/x"),
        ),
        (
            "GetAuthorizationToken",
            "AccessDeniedException",
            f"User: {ARN} is not authorized to perform: ecr:GetAuthorizationToken on resource: *",
            3,
            missing("ecr:GetAuthorizationToken", "*"),
        ),
    ],
)
def test_what_aws_refuses(shop: Shop, operation: str, code: str, message: str, exit_code: int, hint: str) -> None:
    shop.aws.fail(operation, code, message, times=4 if code == "LimitExceededException" else 1)
    what = {
        "GetCallerIdentity": f"AWS in {REGION} cannot be used",
        "DescribeRepositories": f"the repository '{shop.name}' cannot be looked up",
        "CreateRepository": f"the repository '{shop.name}' cannot be made",
        "GetAuthorizationToken": "AWS gives no login for ECR",
    }
    check(
        shop.push_in_no_time(),
        exit_code,
        *plain(f"error: {what[operation]}", f"{code}: {message}", "", f"hint: {hint}"),
    )


def test_throttling_passes(shop: Shop) -> None:
    shop.aws.fail("DescribeRepositories", "ThrottlingException", "Rate exceeded", times=2)
    ran = shop.push_in_no_time()
    assert ran.code == 0, ran.stderr
    assert shop.aws.operations.count("DescribeRepositories") == 3


@pytest.mark.parametrize(("operation", "status"), [("DescribeRepositories", 403), ("GetCallerIdentity", 407)])
def test_a_proxy_s_page_instead_of_an_answer(shop: Shop, operation: str, status: int) -> None:
    shop.aws.fail(operation, "", status=status)
    check(
        shop.push(),
        3,
        "error: (the repository .* cannot be looked up|AWS in .* cannot be used)",
        *plain(
            f"not AWS but something in between answered, with HTTP status {status}",
            "",
            "hint: check HTTPS_PROXY, NO_PROXY and AWS_ENDPOINT_URL",
        ),
    )


def test_a_proxy_s_page_that_says_that_all_is_well(shop: Shop) -> None:
    shop.aws.fail("DescribeRepositories", "", status=200)
    ran = shop.push()
    assert (ran.code, "Traceback" in ran.stderr) == (3, False), ran.stderr
    assert "hint: check HTTPS_PROXY, NO_PROXY and AWS_ENDPOINT_URL\n" in ran.error


# -- this machine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("Team/x", "a name is lower-case letters and digits, with single '.', '_', '-' and '/' between them"),
        ("a__b", "a name is lower-case letters and digits, with single '.', '_', '-' and '/' between them"),
        ("x", "it has 1 characters; ECR wants 2 to 256"),
        ("x" * 257, "it has 257 characters; ECR wants 2 to 256"),
    ],
)
def test_a_name_that_ecr_would_refuse(shop: Shop, name: str, rule: str) -> None:
    ran = shop.push("--repository", name)
    check(
        ran,
        2,
        *plain(f"error: '{name}' is no name for a repository", rule, "", "hint: choose one with --repository"),
    )
    assert shop.aws.operations == []


def test_a_name_that_is_too_long_for_sagemaker(shop: Shop) -> None:
    ran = shop.push("--repository", "x" * 200)
    check(ran, 1, r"error: the image's URI has \d+ characters; SageMaker takes 255", "", "hint: .*")
    assert "GetAuthorizationToken" not in shop.aws.operations


def test_an_image_that_is_not_there(shop: Shop) -> None:
    (shop.folder / "byoc.toml").write_text('image = "never-built:v1"\n')
    check(shop.push(), 1, *plain("error: there is no image 'never-built:v1' here", "", "hint: byoc build"))
    assert shop.aws.operations == []


def test_an_engine_that_does_not_run(shop: Shop) -> None:
    ran = shop.push(DOCKER_HOST="unix:///nowhere/docker.sock")
    check(
        ran,
        3,
        *plain(
            "error: the Docker Engine is not running",
            "there is no socket to talk to it",
            "",
            "hint: is Docker installed and running? `byoc doctor` looks at this machine",
        ),
    )
    assert shop.aws.operations == []


def test_a_registry_that_cannot_be_reached(shop: Shop, docker_client: docker.DockerClient) -> None:
    shop.aws.host = "localhost:1"
    ran = shop.push()
    check(
        ran,
        3,
        "error: the push failed",
        ".*connection refused.*",
        "",
        "hint: the engine cannot reach the registry: check its network, proxy and DNS",
    )
    assert docker_client.images.get(shop.image_id).tags == [shop.reference], "no name is left behind"


@pytest.mark.parametrize(
    "host",
    [
        f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn",
        f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov",
        f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
        f"{ACCOUNT}.dkr-ecr.us-west-2.on.aws",
    ],
)
def test_the_registry_s_host_is_what_aws_says(
    shop: Shop, engine: Engine, docker_client: docker.DockerClient, host: str
) -> None:
    """China, the isolated partitions, FIPS, dual-stack: whatever repositoryUri begins with is pushed to."""
    shop.aws.host = host
    engine.answer = b'{"error": "dial tcp: lookup of it: no such host"}'
    ran = shop.push(DOCKER_HOST=engine.address)
    assert ran.code == 3
    assert [path.partition("/images/")[2] for path in engine.pushed] == [f"{host}/{shop.name}/push"]
    assert docker_client.images.get(shop.image_id).tags == [shop.reference]


# -- what the registry says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "fault", "code", "said", "hint"),
    [
        pytest.param(
            "PUT",
            MANIFESTS,
            refusal(
                400,
                "TAG_INVALID",
                "The image tag 'v1' already exists in the 'x' repository and cannot be overwritten because the "
                "repository is immutable.",
            ),
            1,
            "tag invalid: The image tag 'v1' already exists in the 'x' repository and cannot be overwritten because "
            "the repository is immutable.",
            "tags of this repository are immutable: push under another one with --tag",
            id="immutable",
        ),
        pytest.param(
            "POST",
            UPLOAD,
            refusal(403, "DENIED", DENIED),
            3,
            f"denied: {DENIED}",
            missing("ecr:InitiateLayerUpload", "arn:aws:ecr:us-west-2:123456789012:repository/x"),
            id="denied",
        ),
        pytest.param(
            "POST",
            UPLOAD,
            refusal(404, "NAME_UNKNOWN", f"The repository with name 'x' does not exist in the registry '{ACCOUNT}'"),
            1,
            f"name unknown: The repository with name 'x' does not exist in the registry '{ACCOUNT}'",
            "make the repository first; `byoc push --region R` makes it in ECR",
            id="no repository",
        ),
        pytest.param(
            "PUT",
            MANIFESTS,
            Answer(507, b"no space left on device", "text/plain"),
            1,
            "received unexpected HTTP status: 507 Insufficient Storage",
            "the registry's disk is full: free some there, then run it again",
            id="disk full",
        ),
        pytest.param(
            "POST",
            UPLOAD,
            Answer(403, b"<html>Blocked</html>", "text/html"),
            3,
            "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: "
            '"<html>Blocked</html>"',
            "not the registry but something in between answered: check the engine's proxy (`docker info`)",
            id="proxy page",
        ),
        pytest.param(
            "GET",
            "^/v2/$",
            Answer(200, b"<html>Welcome</html>", "text/html"),
            3,
            "unauthorized: authentication required",
            "ECR refuses a token that AWS has just given: is it a proxy of the engine's that answers? (`docker info`)",
            id="proxy page with 200",
        ),
    ],
)
def test_what_the_registry_refuses(
    shop: Shop, hub: Registry, method: str, path: str, fault: Fault, code: int, said: str, hint: str
) -> None:
    hub.fail(method, path, fault)
    ran = shop.push()
    check(ran, code, *plain("error: the push failed", said, "", f"hint: {hint}"))


@pytest.mark.parametrize(
    ("method", "path", "fault", "says"),
    [
        pytest.param("POST", UPLOAD, refusal(429, "TOOMANYREQUESTS", "Rate exceeded"), "trying again in 1 s", id="429"),
        pytest.param("PUT", MANIFESTS, refusal(500, "UNKNOWN", "oops"), "trying again in 1 s", id="500"),
        pytest.param("POST", UPLOAD, Answer(502, b"<html>Bad gateway</html>"), "retrying in 5 seconds", id="502"),
        pytest.param(
            "POST",
            UPLOAD,
            refusal(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again."),
            "going on with a new token",
            id="expired",
        ),
        pytest.param(
            "PUT",
            MANIFESTS,
            refusal(401, "UNAUTHORIZED", "Your authorization token has expired. Reauthenticate and try again."),
            "going on with a new token",
            id="expired at the end",
        ),
    ],
)
def test_what_passes(shop: Shop, hub: Registry, method: str, path: str, fault: Fault, says: str) -> None:
    hub.fail(method, path, fault)
    ran = shop.push()
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith(f"{shop.uri}@sha256:")
    assert says in ran.stderr
    renewed = 2 if "token" in says else 1
    assert shop.aws.operations.count("GetAuthorizationToken") == renewed


def test_a_connection_that_breaks_in_the_middle_of_a_blob(
    shop: Shop, hub: Registry, docker_client: docker.DockerClient
) -> None:
    tiny_image(docker_client, shop.reference, secrets.token_bytes(1_000_000))
    hub.fail("PATCH", UPLOAD, Cut(300_000))
    ran = shop.push()
    docker_client.api.remove_image(shop.reference)
    assert ran.code == 0, ran.stderr
    assert "retrying in 5 seconds" in ran.stderr


def test_a_registry_that_never_recovers(shop: Shop, hub: Registry) -> None:
    hub.fail("PUT", MANIFESTS, refusal(429, "TOOMANYREQUESTS", "Rate exceeded"), times=5)
    ran = shop.push_in_no_time()
    check(
        ran,
        1,
        *plain(
            "error: the push failed",
            "toomanyrequests: Rate exceeded",
            "",
            "hint: run it again: what went up stays there",
        ),
    )
    assert re.findall(r"trying again in (\d+) s \((\d) of 4\)", ran.stderr) == [
        ("1", "1"),
        ("2", "2"),
        ("4", "3"),
        ("8", "4"),
    ]


def test_a_failed_push_leaves_the_name_where_it_was(
    shop: Shop, hub: Registry, docker_client: docker.DockerClient
) -> None:
    assert shop.push().code == 0
    tiny_image(docker_client, shop.reference, b"another")
    hub.fail("PUT", MANIFESTS, refusal(403, "DENIED", "no"))
    assert shop.push().code == 1
    docker_client.api.remove_image(shop.reference)
    assert docker_client.images.get(f"{shop.uri}:v1").id == shop.image_id


# -- a registry that is slow -----------------------------------------------------------------------------------------


def test_silence_is_not_the_end(shop: Shop, engine: Engine, push_quietly: Callable[[docker.APIClient], str]) -> None:
    """The engine says nothing for a while, as where a registry takes its time.

    docker-py gives up after 60 s of it by default; ours waits ten minutes. That it is this limit which counts is
    shown with a short one: waiting for more than a minute proves no more.
    """
    engine.silence = 1.5
    with closing(docker.APIClient(engine.address, timeout=1)) as hasty, pytest.raises(MachineError) as caught:
        push_quietly(hasty)
    assert str(caught.value).startswith("the Docker Engine does not answer any more")
    with closing(docker.APIClient(engine.address, timeout=60)) as patient:
        assert push_quietly(patient).startswith("sha256:")
    assert docker_engine.connect().api.timeout == 600


@pytest.fixture
def push_quietly(shop: Shop, hub: Registry, docker_client: docker.DockerClient) -> Callable[[docker.APIClient], str]:
    """Push the shop's image over a client."""
    docker_client.images.get(shop.image_id).tag(f"{hub.host}/{shop.name}", "v1")

    def by(api: docker.APIClient) -> str:
        engine, credentials = docker_engine.DockerEngine(api), Credentials("AWS", hub.password)
        return push.push(engine, f"{hub.host}/{shop.name}", "v1", credentials, lambda _: None)

    return by
