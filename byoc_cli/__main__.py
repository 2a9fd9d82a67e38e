"""`python -m byoc_cli` is `byoc`."""

from byoc_cli.app import run

run()
