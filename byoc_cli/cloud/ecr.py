"""ECR, the registry that SageMaker pulls from. The host is always taken from what AWS answers, never composed."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from byoc_cli import image_ref
from byoc_cli.cloud import account as accounts
from byoc_cli.cloud import faults
from byoc_cli.cloud.account import Account
from byoc_cli.cloud.orders import RepositorySettings
from byoc_cli.contract import image as rules
from byoc_cli.errors import ByocError, MachineError, UsageError

_NO_SCAN = ("FAILED", "UNSUPPORTED_IMAGE", "SCAN_ELIGIBILITY_EXPIRED", "FINDINGS_UNAVAILABLE", "LIMIT_EXCEEDED")


@dataclass(frozen=True)
class Repository:
    """A repository as ECR describes it; `uri` begins with the registry's host."""

    name: str
    uri: str
    immutable: bool = False


@dataclass(frozen=True)
class Manifest:
    """A manifest as ECR has it: its text to the byte, and the digest of that."""

    digest: str
    media_type: str
    text: str

    @property
    def content(self) -> dict[str, Any]:
        """The manifest, parsed."""
        return dict(json.loads(self.text))

    @property
    def size(self) -> int:
        """Bytes of all that it names: what a pull fetches."""
        content = self.content
        parts = [*content.get("layers", []), content.get("config", {})]
        return sum(int(part.get("size", 0)) for part in parts)


class Ecr:
    """One account's registry in one region."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._client = account.client("ecr")
        self._now = datetime.min.replace(tzinfo=UTC)

    def repository(self, name: str) -> Repository | None:
        """Describe a repository; None where there is none."""
        with faults.translated(f"the repository '{name}' cannot be looked up"):
            try:
                answer = self._client.describe_repositories(repositoryNames=[name])
            except self._client.exceptions.RepositoryNotFoundException:
                return None
        self._now = _date_of(answer)
        return _repository(answer["repositories"][0]) if answer["repositories"] else None

    def create(self, name: str, settings: RepositorySettings) -> tuple[Repository, bool]:
        """Make a repository; gives (it, whether it was us): another push may be faster."""
        options: dict[str, Any] = {
            "imageScanningConfiguration": {"scanOnPush": True},
            "imageTagMutability": "IMMUTABLE" if settings.immutable else "MUTABLE",
            "tags": [{"Key": key, "Value": value} for key, value in settings.tags.items()],
        }
        if settings.kms_key:
            options["encryptionConfiguration"] = {"encryptionType": "KMS", "kmsKey": settings.kms_key}
        with faults.translated(f"the repository '{name}' cannot be made"):
            try:
                made = self._client.create_repository(repositoryName=name, **options)["repository"]
            except self._client.exceptions.RepositoryAlreadyExistsException:
                found = self.repository(name)
                if found is None:
                    raise
                return found, False
        self._set_up(name, settings)
        return _repository(made), True

    def _set_up(self, name: str, settings: RepositorySettings) -> None:
        """Give a new repository what cannot be said when it is made."""
        try:
            with faults.translated(f"the repository '{name}' was made, but without all of its settings"):
                if settings.keep:
                    self._client.put_lifecycle_policy(
                        repositoryName=name, lifecyclePolicyText=_lifecycle(settings.keep)
                    )
                if settings.allow_accounts:
                    policy = _pull_policy(settings.allow_accounts, self.account.partition)
                    self._client.set_repository_policy(repositoryName=name, policyText=policy)
        except ByocError as error:
            # The next push would find it there, and leave its settings as they are.
            undo = f"aws ecr delete-repository --repository-name {name} --region {self.account.region}"
            error.hint = "; ".join(
                filter(None, (error.hint, f"then delete the repository (it is empty), and push again: {undo}"))
            )
            raise

    def login(self) -> tuple[str, str, str]:
        """Return (registry, user, password) for pushes and pulls; good for twelve hours."""
        with faults.translated("AWS gives no login for ECR"):
            data = self._client.get_authorization_token()["authorizationData"][0]
        # Split at the first ":", and not .strip("AWS:"): a token may begin or end with these letters.
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return str(data["proxyEndpoint"]).partition("://")[2].rstrip("/"), user, password

    def manifest(self, repository: str, *, tag: str = "", digest: str = "") -> Manifest | None:
        """Read a manifest; None where there is no such image."""
        image_id = {"imageDigest": digest} if digest else {"imageTag": tag}
        with faults.translated(f"the image in '{repository}' cannot be read back"):
            answer = self._client.batch_get_image(
                repositoryName=repository, imageIds=[image_id], acceptedMediaTypes=list(rules.MANIFESTS)
            )
        for failure in answer.get("failures", []):
            if failure["failureCode"] != "ImageNotFound":
                said = f"{failure['failureCode']}: {failure.get('failureReason', '')}"
                raise ByocError(f"the image in '{repository}' cannot be read back\n{said}")
        if not answer.get("images"):
            return None
        image = answer["images"][0]
        text = str(image["imageManifest"])
        media_type = image.get("imageManifestMediaType") or json.loads(text).get("mediaType", "")
        return Manifest(str(image["imageId"]["imageDigest"]), str(media_type), text)

    def policy(self, repository: str) -> str:
        """Read a repository's policy, as JSON; "" where it has none."""
        with faults.translated(f"the policy of '{repository}' cannot be read"):
            try:
                return str(self._client.get_repository_policy(repositoryName=repository)["policyText"])
            except self._client.exceptions.RepositoryPolicyNotFoundException:
                return ""

    def put(self, repository: str, tag: str, manifest: Manifest) -> None:
        """Write a manifest under a tag, its blobs being there; ECR compares the digest."""
        with faults.translated(f"the manifest cannot be written to '{repository}:{tag}'"):
            try:
                self._client.put_image(
                    repositoryName=repository,
                    imageTag=tag,
                    imageManifest=manifest.text,
                    imageManifestMediaType=manifest.media_type,
                    imageDigest=manifest.digest,
                )
            except self._client.exceptions.ImageTagAlreadyExistsException as error:
                raise tag_is_taken(repository, tag) from error
            except self._client.exceptions.ImageAlreadyExistsException:
                pass  # the same manifest under the same tag: another push was faster

    def delete_tag(self, repository: str, tag: str) -> None:
        """Delete a tag; with its last tag the manifest goes, too. It may be gone already."""
        with faults.translated(f"the tag '{repository}:{tag}' cannot be deleted"):
            self._delete(repository, [{"imageTag": tag}])

    def delete_untagged(self, repository: str, digests: Sequence[str]) -> None:
        """Delete what this push left without a tag: of these manifests those that are newer than `repository()`.

        An older one is somebody's: a digest is as good a name as a tag.
        """
        if not digests:
            return
        ids = [{"imageDigest": digest} for digest in digests]
        with faults.translated(f"the parts of an index in '{repository}' cannot be deleted"):
            found = self._client.describe_images(repositoryName=repository, imageIds=ids)["imageDetails"]
            ours = [
                {"imageDigest": row["imageDigest"]}
                for row in found
                if not row.get("imageTags") and row["imagePushedAt"] >= self._now
            ]
            if ours:
                self._delete(repository, ours)

    def _delete(self, repository: str, image_ids: Sequence[dict[str, str]]) -> None:
        answer = self._client.batch_delete_image(repositoryName=repository, imageIds=image_ids)
        # What stays is said in an answer of 200.
        for failure in answer.get("failures", []):
            if failure["failureCode"] != "ImageNotFound":
                raise ByocError(f"{repository}: {failure['failureCode']}: {failure.get('failureReason', '')}")

    def findings(self, repository: str, digest: str) -> dict[str, int] | None:
        """Counts of a finished scan by severity, None while it goes on.

        Raises:
            ByocError: the scan failed, or the image cannot be scanned.

        """
        image = {"imageDigest": digest}
        with faults.translated("the scan's findings cannot be read"):
            try:
                answer = self._client.describe_image_scan_findings(repositoryName=repository, imageId=image)
            except self._client.exceptions.ScanNotFoundException:
                self._start_scan(repository, image)
                return None
        status = answer["imageScanStatus"]
        if status["status"] in _NO_SCAN:
            said = f"{status['status']}: {status.get('description', '')}".rstrip(": ")
            raise ByocError(f"the image cannot be scanned\n{said}")
        if status["status"] not in {"COMPLETE", "ACTIVE"}:
            return None
        counts = answer.get("imageScanFindings", {}).get("findingSeverityCounts", {})
        return {str(severity): int(count) for severity, count in counts.items()}

    def _start_scan(self, repository: str, image: dict[str, str]) -> None:
        # One scan a day, and that on push counts: it is on its way.
        with suppress(self._client.exceptions.LimitExceededException):
            self._client.start_image_scan(repositoryName=repository, imageId=image)


def login(host: str) -> tuple[str, str]:
    """Return (user, password) for an ECR host, asked in the region that it names.

    Raises:
        MachineError: AWS gives none; says which of its errors.

    """
    found = image_ref.ECR_HOST.match(host)
    assert found, f"{host} is no ECR host"
    try:
        return Ecr(accounts.account(found["region"])).login()[1:]
    except ByocError as error:
        raise MachineError(f"{host} needs a login\n{error.message}", hint=error.hint) from error


def check_repository_name(name: str) -> None:
    """See that ECR would take a repository's name.

    Raises:
        UsageError: it would not; says the rule.

    """
    if problem := rules.repository_problem(name):
        raise UsageError(f"'{name}' is no name for a repository\n{problem}", hint="choose one with --repository")


def tag_is_taken(repository: str, tag: str) -> ByocError:
    """What is under an immutable tag stays there."""
    return ByocError(
        f"'{repository}:{tag}' exists already with another image, and its tags are immutable",
        hint="push under another --tag",
    )


def _repository(row: dict[str, Any]) -> Repository:
    immutable = row.get("imageTagMutability") == "IMMUTABLE"
    return Repository(str(row["repositoryName"]), str(row["repositoryUri"]), immutable)


def _date_of(answer: dict[str, Any]) -> datetime:
    """Read AWS's clock: this machine's may be wrong."""
    headers = answer["ResponseMetadata"].get("HTTPHeaders", {})
    return parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)


def _lifecycle(keep: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    rule = {
        "rulePriority": 1,
        "description": f"keep the last {keep} images",
        "selection": selection,
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]})


def _pull_policy(accounts_: Sequence[str], partition: str) -> str:
    statement = {
        "Sid": "AllowPull",
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:{partition}:iam::{account}:root" for account in accounts_]},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
