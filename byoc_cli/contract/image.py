"""What SageMaker asks of an image: manifest, architecture, name (I-01 to I-05). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)
ACCEPTED = DOCKER_MANIFEST
"""The one media type that CreateModel takes (I-01); a training job takes more, which proves nothing (I-02)."""

_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYERS = {
    "application/vnd.oci.image.layer.v1.tar+gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar": "application/vnd.docker.image.rootfs.diff.tar",
}
_REPOSITORY = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
_GRAVITON = re.compile(r"^ml\.[a-z]+\d+g[a-z]*\.")
_LONGEST_URI = 255


def refusal(media_type: str, uri: str) -> str:
    """What CreateModel says of an image with such a manifest."""
    return (
        f"Unsupported manifest media type {media_type} for image {uri}. "
        "Ensure that valid manifest media type is used for specified image."
    )


def docker_manifest(oci: Mapping[str, Any]) -> dict[str, Any]:
    """Say an OCI manifest in Docker's words: the same config, the same layers, other media types.

    Raises:
        ValueError: a layer has no such word (zstd).

    """
    layers = []
    for layer in oci["layers"]:
        media_type = layer["mediaType"]
        if media_type not in _LAYERS and media_type not in _LAYERS.values():
            raise ValueError(f"a layer is {media_type}, which Docker's manifest has no word for")
        layers.append(
            {"mediaType": _LAYERS.get(media_type, media_type), "size": layer["size"], "digest": layer["digest"]}
        )
    config = oci["config"]
    return {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": _DOCKER_CONFIG, "size": config["size"], "digest": config["digest"]},
        "layers": layers,
    }


def manifest_of(index: Mapping[str, Any], os: str, architecture: str) -> str:
    """Return the digest of the platform's manifest in an index; attestations are none.

    Raises:
        ValueError: there is none for the platform.

    """
    found = []
    for entry in index.get("manifests", []):
        platform = entry.get("platform", {})
        if "vnd.docker.reference.type" in entry.get("annotations", {}) or platform.get("os") == "unknown":
            continue
        if (platform.get("os"), platform.get("architecture")) == (os, architecture):
            return str(entry["digest"])
        found.append(f"{platform.get('os')}/{platform.get('architecture')}")
    raise ValueError(f"the index has no manifest for {os}/{architecture}, but for: {', '.join(found) or 'none'}")


def architecture_for(instance_type: str) -> str:
    """Return the architecture of an instance type's hosts: Graviton types are arm64 (I-04)."""
    return "arm64" if _GRAVITON.match(instance_type) else "amd64"


def repository_problem(name: str) -> str:
    """Why ECR would refuse a repository's name, or ""."""
    if not 2 <= len(name) <= 256:
        return f"it has {len(name)} characters; ECR wants 2 to 256"
    if not _REPOSITORY.fullmatch(name):
        return "a name is lower-case letters and digits, with single '.', '_', '-' and '/' between them"
    return ""


def uri_problem(uri: str) -> str:
    """Why SageMaker would refuse an image's URI, or "" (I-05)."""
    return (
        f"the image's URI has {len(uri)} characters; SageMaker takes {_LONGEST_URI}" if len(uri) > _LONGEST_URI else ""
    )
