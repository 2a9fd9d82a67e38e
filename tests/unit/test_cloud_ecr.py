"""What ECR says in answers that are no errors: with a client that gives them, which moto never does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from byoc_cli.cloud.account import Account
from byoc_cli.cloud.ecr import Ecr
from byoc_cli.errors import ByocError


class Client:
    """botocore's client, as far as a deletion and a scan need it."""

    def __init__(self, code: str = "", status: str = "") -> None:
        self.code = code
        self.status = status
        self.exceptions = SimpleNamespace(ScanNotFoundException=LookupError, LimitExceededException=OverflowError)

    def batch_delete_image(self, **_: object) -> dict[str, Any]:
        return {"imageIds": [], "failures": [{"failureCode": self.code, "failureReason": "an index names it"}]}

    def describe_image_scan_findings(self, **_: object) -> dict[str, Any]:
        counts = {"findingSeverityCounts": {"HIGH": 2}}
        return {"imageScanStatus": {"status": self.status, "description": "why"}, "imageScanFindings": counts}


class Fake(Account):
    """An account whose client is given."""

    def client(self, service: str) -> Any:
        assert service == "ecr"
        return self.session


def ecr_of(client: Client) -> Ecr:
    return Ecr(Fake(client, "us-west-2", "1", "arn:aws:x"))


@pytest.mark.parametrize("status", ["UNSUPPORTED_IMAGE", "FAILED", "FINDINGS_UNAVAILABLE"])
def test_an_image_that_cannot_be_scanned_is_not_waited_for(status: str) -> None:
    with pytest.raises(ByocError, match=f"the image cannot be scanned\n{status}: why"):
        ecr_of(Client(status=status)).findings("x", "sha256:1")


@pytest.mark.parametrize(
    ("status", "counts"),
    [("COMPLETE", {"HIGH": 2}), ("ACTIVE", {"HIGH": 2}), ("IN_PROGRESS", None), ("PENDING", None)],
)
def test_findings_are_there_when_a_scan_has_ended(status: str, counts: dict[str, int] | None) -> None:
    assert ecr_of(Client(status=status)).findings("x", "sha256:1") == counts


def test_what_stays_after_a_deletion_is_said() -> None:
    ecr = ecr_of(Client("ImageReferencedByManifestList"))
    with pytest.raises(ByocError, match="ImageReferencedByManifestList: an index names it"):
        ecr.delete_tag("x", "byoc-1")


def test_what_is_gone_already_is_deleted() -> None:
    ecr_of(Client("ImageNotFound")).delete_tag("x", "byoc-1")
