"""Who we are to AWS, and where.

botocore alone: boto3 around it takes half as long again to import, and a push that has nothing to do is quick.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config

from byoc_cli.cloud import faults
from byoc_cli.errors import MachineError, UsageError

_QUICK = Config(connect_timeout=5, read_timeout=5, retries={"max_attempts": 1})
_PATIENT = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 4})


@dataclass(frozen=True)
class Account:
    """One account in one region. `arn` is the caller's."""

    session: Any
    region: str
    id: str
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`, …: the caller's own."""
        return self.arn.split(":")[1]

    def client(self, service: str) -> Any:
        """Make a client that retries throttling and dropped connections with back-off."""
        return _client(self.session, service, self.region, _PATIENT)


def regions(given: list[str], profile: str = "") -> list[str]:
    """Return the regions to work in: --region, AWS_REGION, AWS_DEFAULT_REGION, the profile's; never one of ours.

    Raises:
        UsageError: none of them says one, or there is no such region: said before anything is done in another one.

    """
    session = open_session(profile)
    # botocore itself reads AWS_DEFAULT_REGION and the profile, but not AWS_REGION.
    found = list(given) or [os.environ.get("AWS_REGION") or session.get_config_variable("region") or ""]
    if not found[0]:
        raise UsageError("no AWS region is set", hint="--region us-west-2, or AWS_REGION, or a region in the profile")
    for region in found:
        _check_region(session, region)
    return list(dict.fromkeys(found))


def account(region: str, profile: str = "") -> Account:
    """Ask AWS who we are.

    Raises:
        MachineError: no credentials, wrong or expired ones, or no answer.
        UsageError: there is no such profile.

    """
    with faults.translated(f"AWS in {region} cannot be used"):
        session = open_session(profile)
        credentials(session)
        caller = _client(session, "sts", region, _PATIENT).get_caller_identity()
    return Account(session, region, str(caller["Account"]), str(caller["Arn"]))


def identity() -> str:
    """Return the ARN of the caller, asked quickly.

    Raises:
        MachineError: no credentials, wrong ones, or no answer; only local work is possible then.

    """
    with faults.translated("AWS credentials do not work"):
        session = open_session("")
        if found_credentials(session) is None:
            raise MachineError(
                "no AWS credentials", hint="only push and cloud jobs need them: `aws configure`, or AWS_PROFILE"
            )
        # A region only to name the endpoint: the answer is the same everywhere.
        region = session.get_config_variable("region") or "us-east-1"
        return str(_client(session, "sts", region, _QUICK).get_caller_identity()["Arn"])


def credentials(session: Any) -> Any:
    """Return the session's credentials, in botocore's form.

    Raises:
        MachineError: there are none, or they are of no use.

    """
    found = found_credentials(session)
    if found is None:
        raise MachineError("there are no AWS credentials\nneither in the environment nor in ~/.aws", hint=faults.LOGIN)
    return found


def found_credentials(session: Any) -> Any:
    """Look for credentials, and at them; asks for temporary ones where the profile says so; None where there are none.

    Raises:
        MachineError: they cannot be read, have expired for good, or hold a blank.

    """
    try:
        found = session.get_credentials()
        parts = found.get_frozen_credentials()[:3] if found else ()
    # A credential_process that is not there or says nonsense, a token file that is gone: botocore lets them through.
    except (OSError, json.JSONDecodeError) as error:
        raise MachineError(f"the AWS credentials cannot be read\n{error}", hint=faults.LOOK) from error
    except RuntimeError as error:  # renewed, and expired all the same
        raise MachineError(f"your AWS credentials cannot be used\n{error}", hint=faults.LOGIN) from error
    # A file's last newline, mostly. It would be refused as a header, in an error that shows all of the token.
    if any(re.search(r"\s", part or "") for part in parts):
        raise MachineError("the AWS credentials have a blank or a newline in them", hint=f"take it off: {faults.LOOK}")
    return found


def open_session(profile: str = "") -> Any:
    """Read the profile and the environment.

    Raises:
        UsageError: there is no such profile.

    """
    with faults.translated("the AWS profile cannot be used"):
        session = botocore.session.Session(profile=profile or None)
        session.get_scoped_config()  # a profile that is not there is found out now
        return session


def _client(session: Any, service: str, region: str, config: Config) -> Any:
    client = session.create_client(service, region_name=region, config=config)
    client.meta.events.register("before-parse", faults.check_is_aws)
    return client


def _check_region(session: Any, region: str) -> None:
    """A region that botocore does not know gives a made-up host name, and no error but a failed look-up."""
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d+", region):
        raise UsageError(f"'{region}' is no AWS region", hint="a region is a word like us-west-2")
    if any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ):
        return  # an AWS of one's own has its own regions
    known = [
        name
        for partition in session.get_available_partitions()
        for name in session.get_available_regions("ecr", partition)
    ]
    if region not in known:
        near = difflib.get_close_matches(region, known, 1, 0.6)
        raise UsageError(
            f"there is no AWS region '{region}'\nknown to this version of botocore: {len(known)} regions",
            hint=f"did you mean {near[0]}?" if near else "for example: us-west-2; `pip install -U boto3` for a new one",
        )
