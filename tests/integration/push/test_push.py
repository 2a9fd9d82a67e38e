"""What `byoc push` does when all goes well, point by point."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import docker
import pytest

from tests.integration.push.conftest import REGION, Shop, tiny_image
from tests.integration.push.ecr import ACCOUNT, TOKEN, Aws
from tests.integration.push.registry import MANIFEST, Registry, Silence, refusal
from tests.integration.world import BYOC, STAND_IN, environment

pytestmark = pytest.mark.integration

KEYS = ["image", "repository", "tag", "digest", "media_type", "size", "region", "account", "seconds", "created"]
NO_OP = ["GetCallerIdentity", "DescribeRepositories", "BatchGetImage"]


def ecr(aws: Aws, region: str = REGION) -> Any:
    """An AWS client of the test's own."""
    return botocore.session.Session().create_client(
        "ecr", region, endpoint_url=aws.url, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


# -- 1, 2, 5, 6: the push, its proof, its result ------------------------------------------------------------------


def test_a_first_push_makes_the_repository_and_proves_the_image(
    shop: Shop, hub: Registry, docker_client: docker.DockerClient
) -> None:
    ran = shop.push("--json")

    assert ran.code == 0, ran.stderr
    digest, media_type, content = hub.manifest(shop.name, "v1") or ("", "", b"")
    manifest = json.loads(content)
    assert (media_type, manifest["config"]["digest"]) == (MANIFEST, shop.image_id)
    answer = ran.json()
    assert list(answer) == KEYS
    assert answer.pop("seconds") > 0
    assert answer == {
        "image": f"{shop.uri}@{digest}",
        "repository": shop.uri,
        "tag": "v1",
        "digest": digest,
        "media_type": MANIFEST,
        "size": manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"]),
        "region": REGION,
        "account": ACCOUNT,
        "created": True,
    }
    # Who and where stand before the first write.
    account, created, *_ = ran.stderr.splitlines()
    assert account == f"account {ACCOUNT}, region {REGION}, repository {shop.name}"
    assert created == f"created the repository {shop.name} (scan on push)"
    assert shop.aws.operations == [
        "GetCallerIdentity",
        "DescribeRepositories",
        "CreateRepository",
        "GetAuthorizationToken",
        "BatchGetImage",
    ]
    assert f"{shop.uri}:v1" in docker_client.images.get(shop.image_id).tags


def test_a_second_push_says_that_it_is_up_to_date(shop: Shop, hub: Registry) -> None:
    first = shop.push("-q")
    assert (first.code, first.stderr) == (0, "")
    assert re.fullmatch(rf"{shop.uri}@sha256:[0-9a-f]{{64}}\n", first.stdout)
    hub.requests.clear()
    shop.aws.calls.clear()

    again = shop.push()

    assert (again.code, again.stdout) == (0, first.stdout)
    assert again.stderr.splitlines()[1:] == [f"already up to date: {shop.uri}:v1"]
    assert (shop.aws.operations, hub.requests) == (NO_OP, [])


def test_another_image_under_the_same_tag_is_pushed(shop: Shop, docker_client: docker.DockerClient) -> None:
    first = shop.push()
    tiny_image(docker_client, shop.reference, b"another")
    second = shop.push()
    assert (second.code, second.stderr.count("pushed")) == (0, 1)
    assert first.stdout != second.stdout
    docker_client.api.remove_image(shop.reference)


def test_repository_and_tag_can_be_chosen(shop: Shop, hub: Registry) -> None:
    ran = shop.push(shop.reference, "--repository", f"team/{shop.name}", "--tag", "release-1")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith(f"{shop.aws.host}/team/{shop.name}@sha256:")
    assert hub.tags(f"team/{shop.name}") == ["release-1"]


def test_an_image_without_a_name_is_pushed_by_its_id(shop: Shop, docker_client: docker.DockerClient) -> None:
    docker_client.images.get(shop.image_id).tag("elsewhere", shop.name)
    ran = shop.push(shop.image_id)
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith(f"{shop.uri}@")


def test_what_was_pushed_is_pulled_back_by_its_digest_and_runs(shop: Shop, docker_client: docker.DockerClient) -> None:
    # A shell and what it is linked to: an image that nothing else here shares a layer with.
    # base64: the engine keeps what a container prints as text.
    words = ["sh", "-c", "tar -chf - /bin/sh /lib64 $(ldd /bin/sh | grep -o '/lib/[^ ]*') | base64"]
    printed = docker_client.containers.run(STAND_IN, words, remove=True, network_mode="none", stderr=False)
    files = base64.b64decode(printed)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(files)) as old, tarfile.open(fileobj=buffer, mode="w") as new:
        for member in old:
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
        marker = tarfile.TarInfo("marker")
        marker.size = 8
        new.addfile(marker, io.BytesIO(secrets.token_hex(4).encode()))
    docker_client.api.import_image_from_data(buffer.getvalue(), repository=shop.name, tag="runs")
    image_id = docker_client.images.get(f"{shop.name}:runs").id

    ran = shop.push(f"{shop.name}:runs")

    assert ran.code == 0, ran.stderr
    reference = ran.stdout.strip()
    for name in (f"{shop.uri}:runs", f"{shop.name}:runs"):
        docker_client.api.remove_image(name)
    assert docker_client.api.images(name=shop.uri) == [], "it is gone"
    repository, _, digest = reference.partition("@")
    docker_client.api.pull(repository, digest, auth_config={"username": "AWS", "password": TOKEN})
    try:
        assert docker_client.images.get(reference).id == image_id
        said = docker_client.containers.run(reference, ["/bin/sh", "-c", "echo it runs"], remove=True)
        assert said == b"it runs\n"
    finally:
        docker_client.api.remove_image(reference, force=True)


# -- 1: where -----------------------------------------------------------------------------------------------------


def test_the_region_comes_from_the_option_the_environment_or_the_profile(shop: Shop) -> None:
    (shop.home / ".aws").mkdir()
    (shop.home / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-3\n")

    def region(*words: str, **changes: str) -> str:
        ran = shop("push", "--dry-run", "--json", *words, **changes)
        assert ran.code == 0, ran.stderr
        return str(ran.json()["calls"][0]["region"])

    both = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-2"}
    assert region("--region", "us-west-1", **both) == "us-west-1"
    assert region(**both) == "us-east-1"
    assert region(AWS_DEFAULT_REGION="us-east-2") == "us-east-2"
    assert region("--profile", "other") == "eu-west-3"
    assert region(AWS_PROFILE="other") == "eu-west-3"
    assert region() == "eu-west-1"
    (shop.home / ".aws" / "config").unlink()
    ran = shop("push")
    assert (ran.code, ran.error.splitlines()[0]) == (2, "error: no AWS region is set")
    assert shop.aws.operations == []


def test_a_profile_s_own_credentials_are_used(shop: Shop) -> None:
    (shop.home / ".aws").mkdir()
    (shop.home / ".aws" / "credentials").write_text("[team]\naws_access_key_id = teamkey\naws_secret_access_key = x\n")
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    assert shop.push("--profile", "team", **none).code == 0
    assert shop.push(BYOC_PROFILE="team", **none).code == 0
    assert shop.push(**none).code == 3


# -- 2: the repository --------------------------------------------------------------------------------------------


def test_a_new_repository_gets_the_settings_and_an_old_one_keeps_its_own(shop: Shop) -> None:
    settings = ("--immutable", "--kms-key", "alias/mine", "--keep", "7", "--aws-tag", "team=a=b")
    ran = shop.push(*settings, "--allow-account", "210987654321")
    assert ran.code == 0, ran.stderr

    client = ecr(shop.aws)
    described = client.describe_repositories(repositoryNames=[shop.name])["repositories"][0]
    assert described["imageScanningConfiguration"] == {"scanOnPush": True}
    assert described["imageTagMutability"] == "IMMUTABLE"
    assert described["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": "alias/mine"}
    tags = client.list_tags_for_resource(resourceArn=described["repositoryArn"])["tags"]
    assert tags == [{"Key": "team", "Value": "a=b"}]
    rule = json.loads(client.get_lifecycle_policy(repositoryName=shop.name)["lifecyclePolicyText"])["rules"][0]
    assert rule["selection"] == {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 7}
    policy = json.loads(client.get_repository_policy(repositoryName=shop.name)["policyText"])["Statement"][0]
    assert policy["Principal"] == {"AWS": ["arn:aws:iam::210987654321:root"]}
    assert "ecr:BatchGetImage" in policy["Action"]

    shop.aws.calls.clear()
    again = shop.push("--keep", "9")
    assert again.code == 0
    assert "the repository is there already: its settings are left as they are" in again.stderr
    assert shop.aws.operations == NO_OP


def test_what_is_under_an_immutable_tag_is_refused_before_anything_is_sent(
    shop: Shop, hub: Registry, docker_client: docker.DockerClient
) -> None:
    assert shop.push("--immutable").code == 0
    tiny_image(docker_client, shop.reference, b"another")
    hub.requests.clear()

    ran = shop.push()

    docker_client.api.remove_image(shop.reference)
    assert ran.code == 1
    assert ran.error == (
        f"error: '{shop.name}:v1' exists already with another image, and its tags are immutable\n\n"
        "hint: push under another --tag\n"
    )
    assert hub.requests == []


def test_no_create_makes_no_repository(shop: Shop) -> None:
    ran = shop.push("--no-create")
    assert ran.code == 1
    assert ran.error == (
        f"error: there is no repository '{shop.name}' in {ACCOUNT}/{REGION}\nand --no-create says not to make it\n\n"
        "hint: leave --no-create out, or give --repository\n"
    )
    assert shop.aws.operations == ["GetCallerIdentity", "DescribeRepositories"]


def test_another_push_may_make_the_repository_first(shop: Shop) -> None:
    ecr(shop.aws).create_repository(repositoryName=shop.name)
    shop.aws.calls.clear()
    shop.aws.fail("DescribeRepositories", "RepositoryNotFoundException", "not there yet")

    ran = shop.push("--json")

    assert (ran.code, ran.json()["created"]) == (0, False)
    assert shop.aws.operations.count("CreateRepository") == 1


def test_a_repository_without_all_of_its_settings_is_no_success_the_next_time(shop: Shop) -> None:
    denied = "User: ann is not authorized to perform: ecr:PutLifecyclePolicy on resource: *"
    shop.aws.fail("PutLifecyclePolicy", "AccessDeniedException", denied)
    ran = shop.push("--keep", "3")
    assert ran.code == 3
    assert ran.error.startswith(f"error: the repository '{shop.name}' was made, but without all of its settings\n")
    undo = f"aws ecr delete-repository --repository-name {shop.name} --region {REGION}"
    assert f"then delete the repository (it is empty), and push again: {undo}\n" in ran.error
    ecr(shop.aws).delete_repository(repositoryName=shop.name)
    assert shop.push("--keep", "3").code == 0
    assert ecr(shop.aws).get_lifecycle_policy(repositoryName=shop.name)


# -- 3: the token -------------------------------------------------------------------------------------------------


def test_the_token_is_nowhere(shop: Shop, hub: Registry) -> None:
    hub.fail("PUT", "/manifests/", Silence(1.0))
    live = shop.start("push", "--region", REGION, "-v", "--image-ref-file", "reference")
    token = TOKEN.encode()
    forms = {token, base64.b64encode(b"AWS:" + token), base64.b64encode(token)}
    seen = set()
    while live.process.poll() is None:
        seen |= {words for words in command_lines() if any(form in words for form in forms)}
    ran = live.end()

    assert ran.code == 0, ran.stderr
    assert "GetAuthorizationToken" in shop.aws.operations, "there was one"
    assert seen == set()
    written = [path for top in (shop.home, shop.folder) for path in top.rglob("*") if path.is_file()]
    assert {path.name for path in written} == {"byoc.toml", "reference"}, "neither ~/.docker nor ~/.aws are written"
    for text in (ran.stdout.encode(), ran.stderr.encode(), *(path.read_bytes() for path in written)):
        assert not any(form in text for form in forms)


def command_lines() -> Iterator[bytes]:
    """Every process's words and environment."""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                yield (process / name).read_bytes()
            except OSError:
                continue


# -- 4: progress, interrupts --------------------------------------------------------------------------------------


def test_off_a_terminal_each_layer_gets_a_plain_line(shop: Shop) -> None:
    ran = shop.push()
    assert re.search(r"^[0-9a-f]{12}: pushed$", ran.stderr, re.MULTILINE)
    assert re.search(r"^sent [\d.]+ kB of layers in [\d.]+ s \([\d.]+ MB/s\)$", ran.stderr, re.MULTILINE)
    assert "\x1b" not in ran.stderr


def test_on_a_terminal_there_are_bars(shop: Shop, hub: Registry, docker_client: docker.DockerClient) -> None:
    tiny_image(docker_client, shop.reference, secrets.token_bytes(3_000_000))
    hub.fail("PUT", "/manifests/", Silence(0.5))
    ours, its = os.openpty()
    env = environment(shop.environment(TERM="xterm", COLUMNS="120"))
    process = subprocess.Popen(
        [BYOC, "push", "--region", REGION], cwd=shop.folder, env=env, stdout=subprocess.DEVNULL, stderr=its
    )
    os.close(its)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    docker_client.api.remove_image(shop.reference)
    assert process.wait() == 0, shown.decode()
    text = shown.decode()
    assert re.search(r"[0-9a-f]{12} push(ing|ed)", text)
    assert re.search(r"total .*━.*MB", text), "a total"
    assert "MB/s" in text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_push_goes_on_where_it_stopped(
    shop: Shop, hub: Registry, docker_client: docker.DockerClient, number: signal.Signals, code: int
) -> None:
    hub.fail("PUT", "/manifests/", Silence(8))
    live = shop.start("push", "--region", REGION)
    live.until("pushed")
    live.ctrl_c() if number == signal.SIGINT else live.send(number)

    ran = live.end()

    assert (ran.code, ran.stdout) == (code, "")
    assert "interrupted; run it again to go on: the layers that arrived stay there\n" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert docker_client.images.get(shop.image_id).tags == [shop.reference], "no name is left behind"
    again = shop.push()
    assert again.code == 0, again.stderr
    assert "layer already exists" in again.stderr


def test_an_interrupt_ends_the_pushes_to_all_regions(
    shop: Shop, hub: Registry, docker_client: docker.DockerClient
) -> None:
    hub.fail("PUT", "/manifests/", refusal(429, "TOOMANYREQUESTS", "Rate exceeded"), times=5)
    live = shop.start("push", "--region", REGION, "--region", "eu-central-1")
    live.until("trying again in 2 s")
    live.ctrl_c()

    ran = live.end()

    hub.reset()
    assert ran.code == 130, ran.stderr
    assert "Traceback" not in ran.stderr
    # Both regions have one registry here, and so one local name: which push takes it away last is chance.
    assert shop.reference in docker_client.images.get(shop.image_id).tags


# -- 6, 7, 8 ------------------------------------------------------------------------------------------------------


def test_the_reference_is_written_to_a_file(shop: Shop) -> None:
    ran = shop.push("--image-ref-file", "reference.txt")
    assert (shop.folder / "reference.txt").read_text() == ran.stdout


@pytest.mark.parametrize("file", [".", "no/such/folder/file", "byoc.toml/file", "x" * 300])
def test_a_file_that_cannot_be_written_is_said_before_anything_goes_up(shop: Shop, file: str) -> None:
    ran = shop.push("--image-ref-file", file)
    assert ran.code == 2
    assert ran.error.splitlines()[0] == f"error: --image-ref-file {file} cannot be written"
    assert shop.aws.operations == []


def test_several_regions_side_by_side(shop: Shop) -> None:
    ran = shop("push", "--region", REGION, "--region", "eu-central-1", "--json", "--image-ref-file", "references")
    assert ran.code == 0, ran.stderr
    answers = ran.json()
    assert [answer["region"] for answer in answers] == [REGION, "eu-central-1"]
    assert all(list(answer) == KEYS for answer in answers)
    digest = answers[0]["digest"]
    assert [line for line in ran.stderr.splitlines() if digest in line] == [
        f"{REGION:<16} {digest}",
        f"{'eu-central-1':<16} {digest}",
    ]
    assert (shop.folder / "references").read_text().splitlines() == [answer["image"] for answer in answers]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_region_that_fails_hides_no_other(shop: Shop, as_json: bool) -> None:
    shop.aws.fail("CreateRepository", "KmsException", "the key is disabled", regions=("eu-central-1",))

    ran = shop("push", "--region", "eu-central-1", "--region", REGION, *(["--json"] if as_json else []))

    assert ran.code == 1
    images = [answer["image"] for answer in ran.json()] if as_json else ran.stdout.splitlines()
    assert len(images) == 1
    assert images[0].startswith(f"{shop.uri}@sha256:")
    assert f"{'eu-central-1':<16} the repository '{shop.name}' cannot be made" in ran.stderr
    assert ran.error == (
        "error: the push failed in 1 of 2 regions\n"
        f"eu-central-1: the repository '{shop.name}' cannot be made\nKmsException: the key is disabled\n\n"
        "hint: check that the key exists in this region, and that you may use it\n"
    )


def test_regions_and_a_file_may_fail_together(shop: Shop) -> None:
    shop.aws.fail("CreateRepository", "KmsException", "the key is disabled", regions=("eu-central-1",))
    words = ("push", "--region", "eu-central-1", "--region", REGION, "--image-ref-file")

    ran = shop(*words, "/dev/full", "--json")

    assert (ran.code, len(ran.json())) == (1, 1)
    assert ran.error == (
        "error: the push failed in 1 of 2 regions\n"
        f"eu-central-1: the repository '{shop.name}' cannot be made\nKmsException: the key is disabled\n"
        f"it was pushed, but /dev/full cannot be written\nNo space left on device\n{ran.json()[0]['image']}\n\n"
        "hint: check that the key exists in this region, and that you may use it\n"
    )


def test_where_nothing_was_pushed_the_file_is_what_it_was(shop: Shop) -> None:
    (shop.folder / "references").write_text("of yesterday")
    shop.aws.fail("DescribeRepositories", "KmsException", "the key is disabled", times=2)
    ran = shop("push", "--region", "eu-central-1", "--region", REGION, "--image-ref-file", "references")
    assert (ran.code, (shop.folder / "references").read_text()) == (1, "of yesterday")


def test_what_was_pushed_is_said_where_the_file_cannot_be_written(shop: Shop) -> None:
    ran = shop.push("--image-ref-file", "/dev/full", "--json")
    assert ran.code == 1
    assert ran.error == (
        f"error: it was pushed, but /dev/full cannot be written\nNo space left on device\n{ran.json()['image']}\n"
    )


def test_a_dry_run_asks_nobody(shop: Shop, hub: Registry, docker_client: docker.DockerClient) -> None:
    ran = shop.push("--dry-run", "--keep", "3", "--wait-scan")

    assert ran.code == 0, ran.stderr
    assert (shop.aws.operations, hub.requests) == ([], [])
    assert docker_client.images.get(shop.image_id).tags == [shop.reference]
    for call in (
        "sts:GetCallerIdentity",
        f"ecr:CreateRepository {shop.name} (if it is missing)",
        f"ecr:PutLifecyclePolicy {shop.name} (if it was made)",
        f"push {shop.name}:v1 (if it is not up to date)",
        f"ecr:DescribeImageScanFindings {shop.name} (until it has ended)",
    ):
        assert f"{REGION}: {call}\n" in ran.stdout
    assert re.search(r"^ +0\.002 MB  Imported from -$", ran.stdout, re.MULTILINE), ran.stdout
    answer = shop.push("--dry-run", "--json").json()
    assert answer["layers"] == [{"layer": "Imported from -", "size": 2000}]
    assert answer["calls"][0] == {"region": REGION, "call": "sts:GetCallerIdentity"}


# -- 8: the scan --------------------------------------------------------------------------------------------------


def test_findings_are_waited_for(shop: Shop) -> None:
    # moto finds one of severity high in everything; it has no scan on push, so the first question starts one.
    ran = shop.push_in_no_time("--wait-scan", "--fail-on", "critical", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.json()["findings"] == {"HIGH": 1}
    assert "waiting for the scan's findings\nfindings: 1 high\n" in ran.stderr
    assert shop.aws.operations[-3:] == [
        "DescribeImageScanFindings",
        "StartImageScan",
        "DescribeImageScanFindings",
    ]

    again = shop.push("--wait-scan", "--fail-on", "HIGH")
    assert (again.code, again.stdout) == (1, "")
    assert again.error == (
        "error: the image has findings of severity high or worse\n1 high\n"
        f"it was pushed all the same: {ran.json()['image']}\n\n"
        "hint: the ECR console lists them with their remedies\n"
    )
    described = shop.push("--wait-scan", "--fail-on", "HIGH", "--json")
    assert described.code == 1
    assert described.json() | {"seconds": 0} == ran.json() | {"seconds": 0, "created": False}


def test_a_scan_that_is_on_its_way_is_not_started_again(shop: Shop) -> None:
    shop.aws.fail("DescribeImageScanFindings", "ScanNotFoundException", "not yet")
    # botocore itself tries this one again: it counts as throttling.
    shop.aws.fail("StartImageScan", "LimitExceededException", "The scan quota per image has been exceeded.", times=4)
    shop.aws.fail("DescribeImageScanFindings", "UnsupportedImageTypeException", "The image is empty.")
    ran = shop.push_in_no_time("--wait-scan")
    assert ran.code == 1
    assert ran.error.startswith(
        "error: the scan's findings cannot be read\nUnsupportedImageTypeException: The image is empty."
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fail-on", "critical"), "--fail-on needs --wait-scan"),
        (("--fail-on", "severe", "--wait-scan"), "--fail-on severe: there is no such severity"),
        (("--allow-account", "12"), "--allow-account 12: an account is 12 digits"),
        (("--aws-tag", "x"), "--aws-tag x: there is no '='"),
        (("--region", "us west 2"), "'us west 2' is no AWS region"),
        (("--profile", "nope"), "The config profile (nope) could not be found"),
        (("--repository", "Team/x"), "'Team/x' is no name for a repository"),
        (("--tag", "a b"), "'a b' is no tag\na tag is 1 to 128 letters, digits, '_', '.' and '-', and begins with"),
        (("a__b:v1",), "'a__b' is no name for a repository"),
        (("My-Model",), "'My-Model' is not an image name\nimage names are lower case"),
        (("--to", "registry.example/x:v1"), "--to is for other registries"),
    ],
)
def test_wrong_words_are_said_before_the_image_is_looked_for(shop: Shop, words: tuple[str, ...], said: str) -> None:
    (shop.folder / "byoc.toml").write_text('image = "never-built:v1"\n')
    ran = shop.push(*words)
    assert ran.code == 2, ran.stderr
    assert said in ran.error
    assert shop.aws.operations == []


# -- 5: what SageMaker would refuse -------------------------------------------------------------------------------


def test_the_architecture_is_that_of_the_project_s_instance_type(shop: Shop) -> None:
    (shop.folder / "byoc.toml").write_text(f'image = "{shop.reference}"\n[train]\ninstance-type = "ml.m7g.large"\n')
    ran = shop.push()
    assert ran.code == 1
    assert ran.error == (
        f"error: '{shop.reference}' is linux/amd64, but the project's instance type runs linux/arm64\n"
        "the container would end with 'exec format error' (I-04)\n\n"
        "hint: byoc build --platform linux/arm64, or another train.instance-type in byoc.toml\n"
    )
    assert shop.aws.operations == []


def test_somebody_else_s_push_to_the_same_tag_is_noticed(shop: Shop, hub: Registry) -> None:
    def theirs(_: Registry, repository: str, tag: str, manifest: dict[str, Any]) -> tuple[str, bytes]:
        return MANIFEST, json.dumps(manifest).encode()  # other bytes, another digest

    hub.rewrite = theirs
    ran = shop.push()
    assert ran.code == 1
    assert ran.error.startswith(f"error: ECR has another image under '{shop.uri}:v1' than was pushed\nsha256:")
    assert ran.error.endswith("somebody else pushes to the same tag\n\nhint: push under another --tag\n")


# -- 9: build and push --------------------------------------------------------------------------------------------


def test_build_and_push_in_one_go(shop: Shop, hub: Registry, docker_client: docker.DockerClient) -> None:
    project = shop.folder / "built"
    project.mkdir()
    (project / "Dockerfile").write_text("FROM scratch\nCOPY words /words\n")
    (project / "words").write_text(secrets.token_hex(8))
    name = f"{shop.name}-built"

    ran = shop("build", "built", "--tag", f"{name}:v3", "--push", "--region", REGION, "--json")

    image_id = docker_client.images.get(f"{name}:v3").id
    docker_client.api.remove_image(f"{name}:v3", force=True)
    assert ran.code == 0, ran.stderr
    assert list(ran.json()) == KEYS
    found = hub.manifest(name, "v3")
    assert found
    assert json.loads(found[2])["config"]["digest"] == image_id
    assert ran.json()["image"] == f"{shop.aws.host}/{name}@{found[0]}"


def test_build_takes_a_region_only_with_push(shop: Shop) -> None:
    ran = shop("build", "--region", REGION)
    assert (ran.code, ran.error.splitlines()[0]) == (2, "error: --region goes with --push")


def test_a_build_for_a_name_that_ecr_refuses_is_not_begun(shop: Shop) -> None:
    (shop.folder / "Dockerfile").write_text("FROM scratch\n")
    ran = shop("build", "--push", "--tag", "a__b", "--region", REGION)
    assert (ran.code, ran.stderr.splitlines()[0]) == (2, "error: 'a__b' is no name for a repository")


def test_a_build_says_that_the_region_is_missing_before_it_takes_its_time(shop: Shop) -> None:
    (shop.folder / "Dockerfile").write_text("FROM scratch\n")
    ran = shop("build", "--push")
    assert (ran.code, ran.stderr.splitlines()[0]) == (2, "error: no AWS region is set")
