"""Who we are to AWS."""

from __future__ import annotations

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from byoc_cli.errors import MachineError

_QUICK = Config(connect_timeout=5, read_timeout=5, retries={"max_attempts": 1})


def identity() -> str:
    """Return the ARN of the caller.

    Raises:
        MachineError: no credentials, wrong ones, or no answer; only local work is possible then.

    """
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            raise MachineError(
                "no AWS credentials", hint="only push and cloud jobs need them: `aws configure`, or AWS_PROFILE"
            )
        # A region only to name the endpoint: the answer is the same everywhere.
        return str(
            session.client("sts", region_name=session.region_name or "us-east-1", config=_QUICK).get_caller_identity()[
                "Arn"
            ]
        )
    except (BotoCoreError, ClientError) as error:
        raise MachineError(
            f"AWS credentials do not work\n{error}", hint="`aws sts get-caller-identity` shows the same"
        ) from error
