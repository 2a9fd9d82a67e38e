"""Images that the engine pushes as OCI manifests or indexes: SageMaker refuses them, so they are converted.

The engine here keeps images in the classic store. The real one pushes; a proxy in front of it says that it is the
containerd store, and the one in front of the registry stores what it sends as that store would have sent it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import docker
import pytest

from byoc_cli.contract import image as rules
from tests.integration.push.conftest import Shop, logged_in, tiny_image
from tests.integration.push.engine import Engine
from tests.integration.push.registry import MANIFEST, Registry, digest_of
from tests.integration.push.test_push import ecr
from tests.integration.push.test_push_faults import check, plain

pytestmark = pytest.mark.integration

GZIP, ZSTD = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"


def oci(manifest: dict[str, Any], layer_type: str = GZIP) -> bytes:
    """What the containerd store would have sent."""
    layers = [layer | {"mediaType": layer_type} for layer in manifest["layers"]]
    config = manifest["config"] | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    content = {"schemaVersion": 2, "mediaType": rules.OCI_MANIFEST, "config": config, "layers": layers}
    return json.dumps(content, indent=2).encode()


def as_manifest(_: Registry, repository: str, tag: str, manifest: dict[str, Any]) -> tuple[str, bytes]:
    """One OCI manifest."""
    return rules.OCI_MANIFEST, oci(manifest)


def as_zstd(_: Registry, repository: str, tag: str, manifest: dict[str, Any]) -> tuple[str, bytes]:
    """One with layers that Docker's manifest has no word for."""
    return rules.OCI_MANIFEST, oci(manifest, ZSTD)


def as_zstd_index(hub: Registry, repository: str, tag: str, manifest: dict[str, Any]) -> tuple[str, bytes]:
    """An index of one such."""
    return as_index(hub, repository, tag, manifest, ZSTD)


def as_index(
    hub: Registry, repository: str, tag: str, manifest: dict[str, Any], layer_type: str = GZIP
) -> tuple[str, bytes]:
    """An index of the image, and of an attestation that buildx adds."""
    image = oci(manifest, layer_type)
    statement = hub.put_blob(repository, json.dumps({"for": digest_of(image)}).encode())
    attestation = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": rules.OCI_MANIFEST,
            "config": statement | {"mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": [statement | {"mediaType": "application/vnd.in-toto+json"}],
        }
    ).encode()
    entries = []
    for content, platform, notes in (
        (image, ("linux", "amd64"), {}),
        (attestation, ("unknown", "unknown"), {"vnd.docker.reference.type": "attestation-manifest"}),
    ):
        hub.put_manifest(repository, digest_of(content), rules.OCI_MANIFEST, content)
        entries.append(
            {
                "mediaType": rules.OCI_MANIFEST,
                "digest": digest_of(content),
                "size": len(content),
                "platform": {"os": platform[0], "architecture": platform[1]},
                "annotations": notes,
            }
        )
    index = {"schemaVersion": 2, "mediaType": rules.OCI_INDEX, "manifests": entries}
    return rules.OCI_INDEX, json.dumps(index).encode()


@pytest.fixture(params=[as_manifest, as_index])
def form(request: pytest.FixtureRequest, hub: Registry, engine: Engine) -> str:
    """The engine pushes so."""
    engine.containerd = True
    hub.rewrite = request.param
    return rules.OCI_INDEX if request.param is as_index else rules.OCI_MANIFEST


@pytest.mark.parametrize("words", [(), ("--immutable",)])
def test_it_is_converted_on_the_way(
    shop: Shop, hub: Registry, engine: Engine, form: str, docker_client: docker.DockerClient, words: tuple[str, ...]
) -> None:
    ran = shop.push("--json", *words, DOCKER_HOST=engine.address)

    assert ran.code == 0, ran.stderr
    found = hub.manifest(shop.name, "v1")
    assert found
    digest, media_type, content = found
    assert media_type == json.loads(content)["mediaType"] == MANIFEST
    assert (ran.json()["digest"], ran.json()["media_type"]) == (digest, MANIFEST)
    assert json.loads(content)["config"]["digest"] == shop.image_id, "the same blobs"
    assert f"converted for SageMaker, which refuses {form}\n" in ran.stderr
    # Nothing else is left: no temporary tag, no part of an index, no local name.
    assert hub.tags(shop.name) == ["v1"]
    rows = ecr(shop.aws).describe_images(repositoryName=shop.name)["imageDetails"]
    assert [(row.get("imageTags"), row["imageDigest"]) for row in rows] == [(["v1"], digest)]
    assert docker_client.images.get(shop.image_id).tags == [shop.reference]
    # It is there for good: what ECR now has can be pulled by its digest.
    docker_client.api.pull(shop.uri, digest, auth_config={"username": "AWS", "password": hub.password})
    assert docker_client.images.get(ran.json()["image"]).id == shop.image_id
    docker_client.api.remove_image(ran.json()["image"])


@pytest.mark.usefixtures("form")
def test_the_second_push_finds_it_there(shop: Shop, engine: Engine) -> None:
    first = shop.push("--immutable", DOCKER_HOST=engine.address)
    shop.aws.calls.clear()
    again = shop.push(DOCKER_HOST=engine.address)
    assert (again.code, again.stdout) == (0, first.stdout), again.stderr
    assert f"already up to date: {shop.uri}:v1\n" in again.stderr
    assert "PutImage" not in shop.aws.operations


@pytest.mark.usefixtures("form")
def test_an_immutable_tag_is_not_moved(
    shop: Shop, hub: Registry, engine: Engine, docker_client: docker.DockerClient
) -> None:
    assert shop.push("--immutable", DOCKER_HOST=engine.address).code == 0
    tiny_image(docker_client, shop.reference, b"another")
    ran = shop.push(DOCKER_HOST=engine.address)
    docker_client.api.remove_image(shop.reference)
    check(
        ran,
        1,
        *plain(
            f"error: '{shop.name}:v1' exists already with another image, and its tags are immutable",
            "",
            "hint: push under another --tag",
        ),
    )
    assert hub.tags(shop.name) == ["v1"], "no temporary tag is left"


def test_layers_of_zstd_are_refused_with_the_way_to_rebuild(
    shop: Shop, hub: Registry, engine: Engine, docker_client: docker.DockerClient
) -> None:
    engine.containerd = True
    hub.rewrite = as_zstd
    ran = shop.push(DOCKER_HOST=engine.address)
    check(
        ran,
        1,
        *plain(
            "error: SageMaker would refuse this image, and it cannot be converted",
            f"a layer is {ZSTD}, which Docker's manifest has no word for",
            "",
            "hint: docker buildx build --platform linux/amd64 --provenance=false --sbom=false --output "
            "type=image,oci-mediatypes=false,compression=gzip,force-compression=true "
            f"--tag {shop.reference} .",
        ),
    )
    assert hub.tags(shop.name) == []
    assert docker_client.images.get(shop.image_id).tags == [shop.reference]


def test_an_index_that_cannot_be_converted_leaves_nothing(
    shop: Shop, hub: Registry, engine: Engine, docker_client: docker.DockerClient
) -> None:
    engine.containerd = True
    hub.rewrite = as_zstd_index
    docker_client.images.get(shop.image_id).tag("elsewhere", shop.name)
    ran = shop.push(shop.image_id, DOCKER_HOST=engine.address)
    assert ran.code == 1
    assert "cannot be converted\na layer is" in ran.error
    assert ran.error.endswith(f" --tag {shop.reference} .\n"), "an id is no name to build under"
    assert ecr(shop.aws).describe_images(repositoryName=shop.name)["imageDetails"] == []


def test_what_is_converted_is_what_the_engine_pushed(shop: Shop, hub: Registry, engine: Engine) -> None:
    engine.containerd = True
    hub.rewrite = as_manifest
    engine.digest = str  # it says what it sent, and ECR has something else
    ran = shop.push(DOCKER_HOST=engine.address)
    assert ran.code == 1
    assert ran.error.startswith(f"error: ECR has another image under '{shop.uri}:byoc-")
    assert hub.tags(shop.name) == []


def test_a_dry_run_names_every_call_that_is_made(shop: Shop, engine: Engine, form: str) -> None:
    planned = shop.push("--dry-run", "--json", DOCKER_HOST=engine.address).json()["calls"]
    assert shop.aws.operations == []
    assert shop.push(DOCKER_HOST=engine.address).code == 0
    said = [call["call"] for call in planned]
    if form == rules.OCI_MANIFEST:
        said = [call for call in said if "(if an index came)" not in call and "(if one came)" not in call]
    operations = [call.partition(" ")[0].partition(":")[2] for call in said if not call.startswith("push ")]
    assert operations.pop(3) == "BatchGetImage", "what is there: a repository that was just made is not asked"
    assert operations == shop.aws.operations


def test_an_oci_manifest_that_nobody_foresaw_is_no_success(shop: Shop, hub: Registry) -> None:
    """The engine says that it pushes Docker's manifest, and ECR has another: red, in SageMaker's own words."""
    hub.rewrite = as_manifest
    ran = shop.push()
    check(
        ran,
        1,
        *plain(
            "error: SageMaker would refuse this image",
            f"Unsupported manifest media type {rules.OCI_MANIFEST} for image {shop.uri}:v1. "
            "Ensure that valid manifest media type is used for specified image.",
            "",
            "hint: docker buildx build --platform linux/amd64 --provenance=false --sbom=false --output "
            "type=image,oci-mediatypes=false,compression=gzip,force-compression=true "
            f"--tag {shop.reference} .",
        ),
    )


def test_podman_s_image_is_looked_at_after_the_push(shop: Shop, hub: Registry, engine: Engine) -> None:
    engine.podman = True
    hub.rewrite = as_manifest
    ran = shop.push(DOCKER_HOST=engine.address)
    assert ran.code == 0, ran.stderr
    assert (hub.manifest(shop.name, "v1") or ("", ""))[1] == MANIFEST


def test_a_docker_manifest_of_the_containerd_store_needs_no_detour(shop: Shop, hub: Registry, engine: Engine) -> None:
    engine.containerd = True
    engine.descriptor = {"mediaType": MANIFEST, "digest": shop.image_id, "size": 1}
    ran = shop.push(DOCKER_HOST=engine.address)
    assert ran.code == 0, ran.stderr
    assert "PutImage" not in shop.aws.operations
    assert hub.tags(shop.name) == ["v1"]


def test_a_temporary_tag_that_cannot_be_deleted_is_named(shop: Shop, hub: Registry, engine: Engine) -> None:
    engine.containerd = True
    hub.rewrite = as_manifest
    shop.aws.fail("BatchDeleteImage", "AccessDeniedException", "not authorized")
    ran = shop.push(DOCKER_HOST=engine.address)
    assert ran.code == 0, ran.stderr
    (temporary,) = set(hub.tags(shop.name)) - {"v1"}
    assert f"left behind in ECR: {shop.name}:{temporary} (AccessDeniedException: not authorized)\n" in ran.stderr


def test_an_older_part_of_the_index_is_somebody_s(shop: Shop, hub: Registry, engine: Engine) -> None:
    """It was pushed before, without a tag: a model may be using its digest."""
    engine.containerd = True
    kept: list[str] = []

    def again(hub: Registry, repository: str, tag: str, manifest: dict[str, Any]) -> tuple[str, bytes]:
        media_type, content = as_index(hub, repository, tag, manifest)
        kept.append(json.loads(content)["manifests"][0]["digest"])
        return media_type, content

    make: Callable[..., Any] = ecr(shop.aws).create_repository
    make(repositoryName=shop.name)
    hub.rewrite = again
    # First by the plain client; the clock of AWS counts whole seconds.
    assert shop("push", "--to", f"{shop.uri}:plain", DOCKER_CONFIG=logged_in(shop.home, hub)).code == 0
    ecr(shop.aws).list_images(repositoryName=shop.name)
    time.sleep(1.1)

    ran = shop.push(DOCKER_HOST=engine.address)

    assert ran.code == 0, ran.stderr
    digests = {row["imageDigest"] for row in ecr(shop.aws).describe_images(repositoryName=shop.name)["imageDetails"]}
    assert kept[0] in digests


@pytest.mark.usefixtures("form")
def test_another_push_may_take_the_immutable_tag_in_between(shop: Shop, hub: Registry, engine: Engine) -> None:
    shop.aws.fail("PutImage", "ImageTagAlreadyExistsException", "The image tag 'v1' already exists")
    ran = shop.push("--immutable", DOCKER_HOST=engine.address)
    assert ran.code == 1
    assert f"error: '{shop.name}:v1' exists already with another image, and its tags are immutable" in ran.error
    assert hub.tags(shop.name) == []


@pytest.mark.usefixtures("form")
def test_an_ecr_that_has_it_already_but_does_not_show_it(shop: Shop, engine: Engine) -> None:
    first = shop.push(DOCKER_HOST=engine.address)
    shop.aws.fail("PutImage", "ImageAlreadyExistsException", "Image with digest and tag already exists")
    ecr(shop.aws).batch_delete_image(repositoryName=shop.name, imageIds=[{"imageTag": "v1"}])
    ran = shop.push(DOCKER_HOST=engine.address)
    assert (ran.code, first.code) == (1, 0), "and where it is not there, it is said"
    assert ran.error.startswith(f"error: '{shop.name}:v1' was pushed, but ECR does not show it")
