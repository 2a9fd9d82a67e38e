"""How a job's containers get at the user's own AWS credentials: --aws-credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.console import Console
    from byoc_cli.local.credentials import Provider
    from byoc_cli.local.training import TrainingJob


def check_possible(job: TrainingJob) -> None:
    """See that a job may have credentials.

    Raises:
        UsageError: it is isolated, or has more hosts than the endpoint has room for.

    """
    from byoc_cli.local.credentials import MOST_HOSTS

    if job.network_isolation:
        raise UsageError(
            "--aws-credentials with --network-isolation: an isolated job has no credentials (T-74)",
            hint="leave one of the two out",
        )
    if job.instance_count > MOST_HOSTS:
        raise UsageError(
            f"--aws-credentials with {job.instance_count} hosts: its endpoint has room for {MOST_HOSTS}",
            hint=f"--instance-count {MOST_HOSTS}",
        )


def own_credentials(console: Console) -> Provider:
    """Find the user's AWS credentials, and say whose they are.

    Raises:
        MachineError: there are none, or they have expired.

    """
    from byoc_cli.cloud.container_credentials import ContainerCredentials  # late: most jobs need no AWS

    credentials = ContainerCredentials()
    console.log(f"the job may use your AWS credentials: {credentials.whose}")
    return credentials
