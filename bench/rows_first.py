"""The rows about the first time: from nothing to a prediction, by the commands that `byoc init` names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable

from bench.figures import Figure, Reach
from bench.shell import byoc, timed
from bench.workshop import Workshop
from byoc_cli import templates

_ROUNDS = 3  # a build without a cache takes its time


def first(name: str, limit: float) -> Callable[[Workshop], list[Figure]]:
    """Make the row of a template; `limit` is in seconds."""

    def measure(shop: Workshop) -> list[Figure]:
        samples = [_seconds(shop, name) for _ in range(min(shop.rounds, _ROUNDS))]
        what = (
            f"from nothing to a prediction: `byoc init --template {name}`, `build --no-cache`, `local-train`, `predict`"
        )
        return [Figure(f"first-{name}", what, "s", Reach(limit, "value"), samples)]

    return measure


def missing(name: str) -> Callable[[Workshop], str]:
    """Make what tells why the row is left out."""
    return lambda _: "" if name in {each.name for each in templates.available()} else f"there is no template {name}"


def _seconds(shop: Workshop, name: str) -> float:
    """Type it all once. That the image has a name of the bench's own is not in the time; nor is a base image's pull."""
    folder = shop.own_project(f"first-{name}")
    try:
        seconds = timed([*byoc(), "init", folder, "--template", name], cwd=shop.folder)
        file = folder / "byoc.toml"
        image = f'image = "{shop.own_image(f"first-{name}")}"'
        file.write_text(re.sub(r"^image = .*", image, file.read_text(), count=1, flags=re.MULTILINE))
        for words in (("build", "--no-cache"), ("local-train",), ("predict",)):
            seconds += timed([*byoc(), *words], cwd=folder)
        return seconds
    finally:
        shutil.rmtree(folder, ignore_errors=True)
