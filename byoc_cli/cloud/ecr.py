"""ECR, the registry that SageMaker pulls from."""

from __future__ import annotations

import base64

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from byoc_cli import image_ref
from byoc_cli.errors import MachineError


def login(host: str) -> tuple[str, str]:
    """Return (user, password) for an ECR host, asked in the region and for the account that it names.

    Raises:
        MachineError: AWS gives none; says which of its errors.

    """
    found = image_ref.ECR_HOST.match(host)
    assert found, f"{host} is no ECR host"
    try:
        client = boto3.Session().client("ecr", region_name=found["region"])
        data = client.get_authorization_token()["authorizationData"][0]
    except (BotoCoreError, ClientError) as error:
        raise MachineError(
            f"{host} needs a login, and AWS gives none\n{error}",
            hint="check your AWS credentials (`aws sts get-caller-identity`); the action is ecr:GetAuthorizationToken",
        ) from error
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return user, password
