"""Wait for what ECR's scan finds in an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from byoc_cli.cloud.ecr import Ecr
from byoc_cli.cloud.orders import SEVERITIES, PushOrder
from byoc_cli.errors import ByocError

_POLL_SECONDS = 3.0
_TIMEOUT_SECONDS = 900.0


def wait_for_scan(
    ecr: Ecr, order: PushOrder, digest: str, log: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> dict[str, int]:
    """Wait for the scan; gives the number of findings by severity.

    Raises:
        ByocError: the image cannot be scanned, or the scan does not end.

    """
    log("waiting for the scan's findings")
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    pause = 1.0  # a small image is ready soon
    while (counts := ecr.findings(order.repository, digest)) is None:
        if time.monotonic() > deadline:
            raise ByocError(
                f"the scan did not end within {_TIMEOUT_SECONDS / 60:.0f} minutes",
                hint="look in the ECR console; byoc push --wait-scan goes on waiting",
            )
        sleep(pause)
        pause = _POLL_SECONDS
    log(f"findings: {_words(counts)}")
    return counts


def check_findings(counts: Mapping[str, int], fail_on: str) -> None:
    """See that no finding is of severity `fail_on` or worse; "" lets all pass.

    Raises:
        ByocError: there are some.

    """
    grave = SEVERITIES[SEVERITIES.index(fail_on.upper()) :] if fail_on else ()
    if any(counts.get(severity) for severity in grave):
        raise ByocError(
            f"the image has findings of severity {fail_on.lower()} or worse\n{_words(counts)}",
            hint="the ECR console lists them with their remedies",
        )


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {severity.lower()}" for severity, count in counts.items()) or "none"
