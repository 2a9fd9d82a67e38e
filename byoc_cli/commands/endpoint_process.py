"""The program of a detached local endpoint, `python -m byoc_cli.commands.endpoint_process FD`: it may need S3."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from byoc_cli.local.gateway.detached import main

if TYPE_CHECKING:
    from byoc_cli.local.places import ObjectStore


def _s3() -> ObjectStore:
    from byoc_cli.cloud.s3_objects import Objects  # late: most endpoints need no AWS

    return Objects()


if __name__ == "__main__":
    main(int(sys.argv[1]), _s3)
