"""The table of rows, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench import (
    rows_batch,
    rows_byoc,
    rows_container,
    rows_dev,
    rows_first,
    rows_gateway,
    rows_pipe,
    rows_push,
    rows_sdk,
)
from bench.figures import Figure
from bench.workshop import Workshop


@dataclass(frozen=True)
class Row:
    """`measure` gives one figure or several; `optional` tells why the row is left out, "" where it can run."""

    measure: Callable[[Workshop], list[Figure]]
    about: str
    optional: Callable[[Workshop], str] | None = None


ROWS: Mapping[str, Row] = {
    "help": Row(rows_byoc.help_, "byoc --help"),
    "first-minimal": Row(rows_first.first("minimal", 30), "from nothing to a prediction with the template minimal"),
    "first-scikit-learn": Row(
        rows_first.first("scikit-learn", 120),
        "the same with scikit-learn",
        rows_first.missing("scikit-learn"),
    ),
    "local-train": Row(rows_byoc.local_train, "byoc local-train of a container that exits at once"),
    "channel": Row(rows_byoc.channel, "the same with 2 GB in 20,000 files"),
    "pipe": Row(rows_pipe.pipe, "a Pipe channel of 8 GiB into a container"),
    "serve-detach": Row(rows_byoc.serve_detach, "byoc serve --detach until ready"),
    "dev-loop": Row(rows_dev.loop, "from saving a file to the next prediction with byoc dev serve"),
    "gateway-p50": Row(rows_gateway.p50, "/invocations through the local endpoint of byoc serve"),
    "endpoint-load": Row(rows_gateway.load, "32 clients for 60 s through the local endpoint of byoc serve"),
    "batch-lines": Row(rows_batch.lines, "byoc batch of 1,000,000 lines: order, count and bytes looked at"),
    "batch-large": Row(rows_batch.large, "byoc batch of 5 GB: the same, and memory"),
    "collect": Row(rows_byoc.collect, "collecting a model of 1 GiB"),
    "push": Row(rows_push.push, "pushing 1 GiB of 8 layers, and again; memory", rows_push.missing),
    "cifar10": Row(rows_container.cifar10, "100 steps of the bundled container: accuracy and time"),
    "image-size": Row(rows_container.image_size, "the bundled image's size"),
    "serve-start": Row(rows_container.serve_start, "the bundled image: start to /ping 200"),
    "invocations": Row(rows_container.invocations, "/invocations: p50, p99, requests a second"),
    "sdk": Row(rows_sdk.sdk, "the SageMaker SDK 2.x's local mode", rows_sdk.missing),
}
