"""What SageMaker asks of an image's manifest, name and architecture (I-01 to I-05)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from byoc_cli.contract import image

CONFIG, LAYER = "sha256:" + "c" * 64, "sha256:" + "1" * 64
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


def oci(*layer_types: str) -> dict[str, Any]:
    """An OCI manifest, with what only OCI has."""
    return {
        "schemaVersion": 2,
        "mediaType": image.OCI_MANIFEST,
        "artifactType": "x",
        "annotations": {"org.opencontainers.image.created": "now"},
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": CONFIG,
            "size": 1234,
            "annotations": {"a": "b"},
        },
        "layers": [{"mediaType": kind, "digest": LAYER, "size": 99, "urls": []} for kind in layer_types],
    }


GOLDEN = """\
{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": 1234,
      "digest": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
   },
   "layers": [
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 99,
         "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111"
      },
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
         "size": 99,
         "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111"
      }
   ]
}"""


def test_an_oci_manifest_in_docker_s_words_to_the_byte() -> None:
    """The digest is that of these bytes: a change of them is a change for everybody's second push."""
    assert json.dumps(image.docker_manifest(oci(f"{OCI_LAYER}+gzip", OCI_LAYER)), indent=3) == GOLDEN


def test_what_is_docker_s_already_stays() -> None:
    converted = image.docker_manifest(oci(f"{OCI_LAYER}+gzip"))
    assert image.docker_manifest(converted) == converted


@pytest.mark.parametrize(
    "kind",
    [
        f"{OCI_LAYER}+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.in-toto+json",
    ],
)
def test_a_layer_without_a_word_in_docker_s_manifest(kind: str) -> None:
    with pytest.raises(ValueError, match="which Docker's manifest has no word for"):
        image.docker_manifest(oci(kind))


def entry(os: str, architecture: str, digest: str, **more: Any) -> dict[str, Any]:
    return {"digest": digest, "platform": {"os": os, "architecture": architecture}, **more}


INDEX = {
    "manifests": [
        entry("linux", "arm64", "sha256:arm", annotations={}),
        entry(
            "linux", "amd64", "sha256:attestation", annotations={"vnd.docker.reference.type": "attestation-manifest"}
        ),
        entry("unknown", "unknown", "sha256:unknown"),
        entry("windows", "amd64", "sha256:windows"),
        {"digest": "sha256:bare"},
        entry("linux", "amd64", "sha256:amd"),
    ]
}


@pytest.mark.parametrize(("architecture", "digest"), [("amd64", "sha256:amd"), ("arm64", "sha256:arm")])
def test_the_platform_s_manifest_of_an_index(architecture: str, digest: str) -> None:
    assert image.manifest_of(INDEX, "linux", architecture) == digest


def test_an_index_without_the_platform() -> None:
    with pytest.raises(ValueError, match=r"no manifest for linux/s390x, but for: linux/arm64, windows/amd64, "):
        image.manifest_of(INDEX, "linux", "s390x")
    with pytest.raises(ValueError, match="but for: none"):
        image.manifest_of({"manifests": []}, "linux", "amd64")


@pytest.mark.parametrize("name", ["ab", "a1", "team/my-model", "a.b_c-d/e", "a" * 256, "1/2"])
def test_names_that_ecr_takes(name: str) -> None:
    assert image.repository_problem(name) == ""


@pytest.mark.parametrize(
    "name", ["", "a", "a" * 257, "Aa", "a__b", "a..b", "a--b", "-ab", "ab-", "/ab", "ab/", "a//b", "a b", "ab\n", "ä1"]
)
def test_names_that_ecr_refuses(name: str) -> None:
    assert image.repository_problem(name)


@pytest.mark.parametrize("kind", ["ml.c7g.large", "ml.m6gd.xlarge", "ml.c6gn.2xlarge", "ml.r8g.large", "ml.g5g.xlarge"])
def test_graviton_types_run_arm64(kind: str) -> None:
    assert image.architecture_for(kind) == "arm64"


@pytest.mark.parametrize(
    "kind",
    ["ml.m5.xlarge", "ml.g4dn.xlarge", "ml.g5.xlarge", "ml.p4d.24xlarge", "ml.g6e.xlarge", "ml.inf2.xlarge", "local"],
)
def test_other_types_run_amd64(kind: str) -> None:
    assert image.architecture_for(kind) == "amd64"


def test_a_uri_has_255_characters_at_most() -> None:
    assert image.uri_problem("x" * 255) == ""
    assert image.uri_problem("x" * 256) == "the image's URI has 256 characters; SageMaker takes 255"


def test_sagemaker_s_own_words() -> None:
    assert image.refusal(image.OCI_INDEX, "host/x:v1") == (
        "Unsupported manifest media type application/vnd.oci.image.index.v1+json for image host/x:v1. "
        "Ensure that valid manifest media type is used for specified image."
    )
