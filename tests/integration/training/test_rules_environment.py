"""T-24 to T-29: what is in the environment, to the last variable."""

from __future__ import annotations

import re

import docker
import pytest

from tests.integration.training.lab import Probed

pytestmark = pytest.mark.integration


def wanted(job: Probed, image: str, client: docker.DockerClient, **asked: str) -> dict[str, str]:
    of_image = dict(line.split("=", 1) for line in client.images.get(image).attrs["Config"]["Env"])
    return {
        **of_image,
        "HOME": "/root",
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{job.name.lower()}",
        "AWS_REGION": "us-east-1",
        "DMLC_INTERFACE": "eth0",
        "NVIDIA_VISIBLE_DEVICES": "void",
        **asked,
    }


def test_t24_t26_t27_the_whole_environment(
    plain: Probed, full: Probed, probe: str, docker_client: docker.DockerClient
) -> None:
    for job, asked in ((plain, {}), (full, {"ASKED": "for this"})):
        assert job.name != job.name.lower()
        seen = job.report()["environment"]
        assert seen.pop("HOSTNAME") == job.report()["hostname"]
        assert seen == wanted(job, probe, docker_client, **asked)


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
def test_t24_hosts_have_the_same_but_for_their_names(
    two: Probed, probe: str, docker_client: docker.DockerClient, host: str
) -> None:
    seen = two.report(host)["environment"]
    assert re.fullmatch(r"ip-10-0-\d{1,3}-\d{1,3}\.ec2\.internal", seen.pop("HOSTNAME"))
    assert seen == wanted(two, probe, docker_client)


def test_t28_no_credentials_file_either(plain: Probed) -> None:
    assert plain.report()["aws"] is False
