"""--registry: the manifest in ECR (moto), read by the command as a process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import docker
import pytest

from byoc_cli.contract import image as manifests
from tests.integration.conftest import Aws
from tests.integration.world import Byoc, Ran

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
Put = Callable[[str], None]


@pytest.fixture
def ecr(aws: Aws, good: str) -> Any:
    """A client of an ECR that has the image's repository, empty."""
    session = botocore.session.Session()
    session.set_credentials("testing", "testing")
    client: Any = session.create_client("ecr", region_name="us-west-2", endpoint_url=aws.url)
    client.create_repository(repositoryName=good.partition(":")[0])
    return client


@pytest.fixture
def put(ecr: Any, good: str, docker_client: docker.DockerClient) -> Put:
    """Put a manifest of that media type there, in the name of the good image."""

    def put(media_type: str, config: str = "") -> None:
        digest = config or str(docker_client.images.get(good).id)
        parts = {"schemaVersion": 2, "mediaType": media_type, "config": {"digest": digest, "size": 1}, "layers": []}
        repository, tag = good.split(":")
        ecr.put_image(
            repositoryName=repository, imageTag=tag, imageManifest=json.dumps(parts), imageManifestMediaType=media_type
        )

    return put


@pytest.fixture
def check(byoc: Byoc, folder: Path, aws: Aws) -> Callable[..., Ran]:
    """`check("--registry")`."""
    return lambda *words: byoc("check", *words, cwd=folder, env=KEYS | {"AWS_ENDPOINT_URL": aws.url})


def rules(ran: Ran) -> dict[str, dict[str, Any]]:
    return {rule["id"]: rule for rule in ran.json()["rules"]}


def test_i01_an_oci_manifest_in_ecr_fails_in_the_cloud_s_words(put: Put, check: Callable[..., Ran]) -> None:
    put(manifests.OCI_MANIFEST)
    ran = check("--registry", "--region", "us-west-2", "--only", "I-01", "--json")
    assert ran.code == 1, ran.stderr
    found = rules(ran)["I-01"]
    assert found["result"] == "fail"
    assert found["cloud"].startswith("Unsupported manifest media type application/vnd.oci.image.manifest.v1+json for")


def test_the_same_image_in_docker_s_words_passes(put: Put, check: Callable[..., Ran], aws: Aws) -> None:
    put(manifests.DOCKER_MANIFEST)
    ran = check("--registry", "--region", "us-west-2", "--only", "registry", "--json")
    assert ran.code == 0, ran.stderr
    assert {id_: rule["result"] for id_, rule in rules(ran).items()} == {
        "H-33": "warn",  # the good image claims to work in pipelines
        "I-01": "pass",
        "I-03b": "pass",
        "I-05": "pass",
    }
    writes = [name for name in aws.operations()[2:] if not name.startswith(("Describe", "BatchGet", "Get"))]
    assert writes == [], "it reads, and writes nothing"


def test_h33_a_policy_that_lets_sagemaker_pull(put: Put, ecr: Any, good: str, check: Callable[..., Ran]) -> None:
    put(manifests.DOCKER_MANIFEST)
    statement = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "ecr:BatchGetImage"}
    policy = {"Version": "2012-10-17", "Statement": [{"Sid": "pipelines", **statement}]}
    ecr.set_repository_policy(repositoryName=good.partition(":")[0], policyText=json.dumps(policy))
    assert rules(check("--only", "registry", "--region", "us-west-2", "--json"))["H-33"]["result"] == "pass"


def test_i03b_another_image_under_the_name_warns(ecr: Any, good: str, put: Any, check: Callable[..., Ran]) -> None:
    put(manifests.DOCKER_MANIFEST, "sha256:" + "0" * 64)
    assert rules(check("--only", "I-03b", "--region", "us-west-2", "--json"))["I-03b"]["result"] == "warn"


@pytest.mark.usefixtures("ecr")
def test_an_image_that_was_not_pushed_is_skipped(check: Callable[..., Ran]) -> None:
    ran = check("--registry", "--region", "us-west-2")
    assert ran.code == 0, ran.stderr
    assert "skip I-05  SHOULD" in ran.stdout
    assert "byoc push puts it there" in ran.stdout
    assert "pass I-01  MUST" in ran.stdout, "what a push from here would send is known all the same"


def test_without_a_region_it_is_wrong_usage(byoc: Byoc, folder: Path) -> None:
    ran = byoc("check", "--registry", cwd=folder, env={**KEYS, "HOME": str(folder)})
    assert ran.code == 2
    assert ran.error.startswith("error: no AWS region is set")
