"""How a build logs in to ECR for its base image: with the user's own AWS credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from byoc_cli.engine.types import Credentials


def ecr_login(host: str) -> Credentials:
    """Get credentials for an ECR host, in the region that it names."""
    from byoc_cli.cloud import ecr
    from byoc_cli.engine.types import Credentials

    user, password = ecr.login(host)
    return Credentials(user, password)
