"""What `byoc push` does when all goes well."""

from __future__ import annotations

import pytest

from tests.integration.push.conftest import Shop
from tests.integration.push.registry import Registry

pytestmark = pytest.mark.integration


def test_a_first_push_makes_the_repository_and_proves_the_image(shop: Shop, hub: Registry) -> None:
    ran = shop.push("--json")

    assert ran.code == 0, ran.stderr

    again = shop.push()

