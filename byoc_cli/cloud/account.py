"""Who we are to AWS, and where."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from byoc_cli.cloud import faults
from byoc_cli.errors import MachineError, UsageError

_QUICK = Config(connect_timeout=5, read_timeout=5, retries={"max_attempts": 1})
_PATIENT = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 5})


@dataclass(frozen=True)
class Account:
    """One account in one region. `arn` is the caller's."""

    session: Any
    region: str
    id: str
    arn: str

    def client(self, service: str) -> Any:
        """Make a client that retries throttling and dropped connections with back-off."""
        return self.session.client(service, region_name=self.region, config=_PATIENT)


def regions(given: list[str], profile: str = "") -> list[str]:
    """Return the regions to work in: --region, AWS_REGION, AWS_DEFAULT_REGION, the profile's; never one of ours.

    Raises:
        UsageError: none of them says one, or it is no region's name.

    """
    found = given or [os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""]
    if not found[0]:
        # boto3 itself reads AWS_DEFAULT_REGION only, hence the line above.
        found = [_session(profile).region_name or ""]
    if not found[0]:
        raise UsageError("no AWS region is set", hint="--region us-west-2, or AWS_REGION, or a region in the profile")
    return list(dict.fromkeys(found))


def account(region: str, profile: str = "") -> Account:
    """Ask AWS who we are.

    Raises:
        MachineError: no credentials, wrong or expired ones, or no answer.
        UsageError: there is no such region or profile.

    """
    with faults.translated(f"AWS in {region} cannot be used"):
        session = _session(profile)
        if session.get_credentials() is None:
            raise MachineError(
                "there are no AWS credentials\nneither in the environment nor in ~/.aws",
                hint="`aws configure`, `aws sso login`, or AWS_PROFILE",
            )
        _check_region(session, region)
        caller = session.client("sts", region_name=region, config=_PATIENT).get_caller_identity()
    return Account(session, region, str(caller["Account"]), str(caller["Arn"]))


def identity() -> str:
    """Return the ARN of the caller, asked quickly.

    Raises:
        MachineError: no credentials, wrong ones, or no answer; only local work is possible then.

    """
    with faults.translated("AWS credentials do not work"):
        session = boto3.Session()
        if session.get_credentials() is None:
            raise MachineError(
                "no AWS credentials", hint="only push and cloud jobs need them: `aws configure`, or AWS_PROFILE"
            )
        # A region only to name the endpoint: the answer is the same everywhere.
        region = session.region_name or "us-east-1"
        return str(session.client("sts", region_name=region, config=_QUICK).get_caller_identity()["Arn"])


def _session(profile: str) -> Any:
    with faults.translated("the AWS profile cannot be used"):
        return boto3.Session(profile_name=profile or None)


def _check_region(session: Any, region: str) -> None:
    """A region that botocore does not know gives a made-up host name, and no error but a failed look-up."""
    known = [
        name
        for partition in session.get_available_partitions()
        for name in session.get_available_regions("ecr", partition)
    ]
    if region in known or os.environ.get("AWS_ENDPOINT_URL"):
        return
    near = difflib.get_close_matches(region, known, 1, 0.6)
    raise UsageError(
        f"there is no AWS region '{region}'\nknown to this version of botocore: {len(known)} regions",
        hint=f"did you mean {near[0]}?" if near else "for example: us-west-2; `pip install -U boto3` for a new one",
    )
