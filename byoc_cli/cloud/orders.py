"""What is to be pushed, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.engine.types import Image

SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")


@dataclass(frozen=True)
class RepositorySettings:
    """How a repository is made, if it is. `keep` images stay (0: all); `allow_accounts` may pull."""

    create: bool = True
    immutable: bool = False
    kms_key: str = ""
    keep: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    allow_accounts: Sequence[str] = ()


@dataclass(frozen=True)
class PushOrder:
    """What goes where. `architecture` is what the project's instance types run, "" for any."""

    image: Image
    reference: str
    repository: str
    tag: str
    settings: RepositorySettings = field(default_factory=RepositorySettings)
    architecture: str = ""
    fail_on: str = ""
    wait_scan: bool = False

    @property
    def rebuild_command(self) -> str:
        """How to build the image so that SageMaker takes it (I-01)."""
        name = self.reference if not self.reference.startswith("sha256:") else f"{self.repository}:{self.tag}"
        return (
            f"docker buildx build --platform {self.image.os}/{self.image.architecture} --provenance=false "
            # Without force-compression the zstd layers of a base image would stay what they are.
            "--sbom=false --output type=image,oci-mediatypes=false,compression=gzip,force-compression=true "
            f"--tag {name} ."
        )

    def calls(self, *, converts: bool) -> list[str]:
        """Every call that a push makes, in order; what depends on an answer says so."""
        name, settings = self.repository, self.settings
        calls = ["sts:GetCallerIdentity", f"ecr:DescribeRepositories {name}"]
        if settings.create:
            calls.append(f"ecr:CreateRepository {name} (if it is missing)")
            calls += [f"ecr:PutLifecyclePolicy {name} (if it was made)"] if settings.keep else []
            calls += [f"ecr:SetRepositoryPolicy {name} (if it was made)"] if settings.allow_accounts else []
        calls += [f"ecr:BatchGetImage {name}:{self.tag}", "ecr:GetAuthorizationToken (if it is not up to date)"]
        if converts:
            calls += [
                f"push {name} under a temporary tag (if it is not up to date)",
                f"ecr:BatchGetImage {name}, the temporary tag",
                f"ecr:BatchGetImage {name}, this platform's manifest (if an index came)",
                f"ecr:PutImage {name}:{self.tag}, converted for SageMaker",
            ]
        else:
            calls.append(f"push {name}:{self.tag} (if it is not up to date)")
        calls.append(f"ecr:BatchGetImage {name}:{self.tag} (the proof)")
        if converts:
            calls += [
                f"ecr:BatchDeleteImage {name}, the temporary tag",
                f"ecr:DescribeImages {name}, the parts of the index (if one came)",
                f"ecr:BatchDeleteImage {name}, those without a tag (if one came)",
            ]
        if self.wait_scan:
            calls += [
                f"ecr:DescribeImageScanFindings {name} (until it has ended)",
                f"ecr:StartImageScan {name} (if none goes on)",
            ]
        return calls


@dataclass(frozen=True)
class PushResult:
    """A push that is proved: `uri` is what SageMaker is told, `size` what a pull fetches, in bytes."""

    uri: str
    repository: str
    tag: str
    digest: str
    media_type: str
    size: int
    region: str
    account: str
    seconds: float
    created: bool
    findings: Mapping[str, int] | None = None

    def data(self) -> dict[str, Any]:
        """What --json prints."""
        more = {} if self.findings is None else {"findings": dict(self.findings)}
        return {
            "image": self.uri,
            "repository": self.repository,
            "tag": self.tag,
            "digest": self.digest,
            "media_type": self.media_type,
            "size": self.size,
            "region": self.region,
            "account": self.account,
            "seconds": round(self.seconds, 3),
            "created": self.created,
            **more,
        }
