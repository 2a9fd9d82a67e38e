"""What can be adopted: each source is a module with a `Source`, in the order in which they are looked for.

A folder may be several at once; the first that recognises it is taken, for it says more than those behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

from byoc_cli.adopt.sources import aws_sample, cog, mlflow, plain, sagify
from byoc_cli.adopt.sources.source import Source

SOURCES: Sequence[Source] = (sagify.SOURCE, aws_sample.SOURCE, cog.SOURCE, mlflow.PROJECT, mlflow.MODEL, plain.SOURCE)
