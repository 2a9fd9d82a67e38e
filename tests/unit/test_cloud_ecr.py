"""What ECR says in answers that are no errors: with a client that gives them, which moto never does."""

from __future__ import annotations

from typing import Any

import pytest

from byoc_cli.cloud.account import Account
from byoc_cli.cloud.ecr import Ecr
from byoc_cli.errors import ByocError


class Client:
    """botocore's client, as far as a deletion needs it."""

    def __init__(self, code: str) -> None:
        self.code = code

    def batch_delete_image(self, **_: object) -> dict[str, Any]:
        return {"imageIds": [], "failures": [{"failureCode": self.code, "failureReason": "an index names it"}]}


class Fake(Account):
    """An account whose client is given."""

    def client(self, service: str) -> Any:
        assert service == "ecr"
        return self.session


def test_what_stays_after_a_deletion_is_said() -> None:
    ecr = Ecr(Fake(Client("ImageReferencedByManifestList"), "us-west-2", "1", "arn:aws:x"))
    with pytest.raises(ByocError, match="ImageReferencedByManifestList: an index names it"):
        ecr.delete_tag("x", "byoc-1")


def test_what_is_gone_already_is_deleted() -> None:
    Ecr(Fake(Client("ImageNotFound"), "us-west-2", "1", "arn:aws:x")).delete_tag("x", "byoc-1")
