"""`byoc login`."""

from __future__ import annotations

from byoc_cli.commands.options import Outcome, Session
from byoc_cli.commands.push import ProfileOption, RegionOption

EXAMPLES = """
  byoc login --region us-west-2
  byoc login --region us-west-2 && docker pull 123456789012.dkr.ecr.us-west-2.amazonaws.com/my-model
"""


def login(session: Session, region: RegionOption = [], profile: ProfileOption = "") -> Outcome:
    """Log the plain docker client in to ECR, for twelve hours; byoc itself never needs it.

    The token goes through the client's own --password-stdin, which keeps it as your Docker configuration says.

    With --json: a list of the registries.
    """
    from byoc_cli.cloud.account import account, regions
    from byoc_cli.cloud.ecr import Ecr
    from byoc_cli.engine.login import docker_login

    hosts = []
    for each in regions(region, profile):
        host, user, password = Ecr(account(each, profile)).login()
        docker_login(host, user, password)
        session.console.log(f"logged in to {host}")
        hosts.append(host)
    return Outcome(hosts, lambda console: console.result("\n".join(hosts)))
