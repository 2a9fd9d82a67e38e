"""Images made of a few Dockerfile lines, and what a check says of them."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import tarfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from byoc_cli import project
from byoc_cli.check import selection
from byoc_cli.check.bench import Benches, Order
from byoc_cli.check.model import Finding, Step
from byoc_cli.check.runner import check
from byoc_cli.check.table import STEPS
from byoc_cli.engine.docker_engine import connect
from tests.integration.world import PROJECTS

GOOD = PROJECTS / "good"


@dataclass(frozen=True)
class File:
    """A file of a build's context."""

    content: bytes
    mode: int = 0o755


@dataclass(frozen=True)
class Recipe:
    """An image: the lines after FROM, and the files that they copy. `base` is another FROM than the good image."""

    name: str
    lines: Sequence[str]
    files: Mapping[str, File] = field(default_factory=dict)
    base: str = ""


class Quiet:
    """A `Watcher` that says nothing."""

    def log(self, text: str) -> None:
        pass

    def started(self, step: Step[Any]) -> None:
        pass

    def ended(self, step: Step[Any], findings: Sequence[Finding], seconds: float) -> None:
        pass


def packed(files: Mapping[str, File]) -> bytes:
    """Put files into a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, file in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(file.content), file.mode
            tar.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()


def built(client: docker.DockerClient, recipe: Recipe, good: str, tag: str) -> str:
    """Build it with the engine's classic builder, which starts faster than BuildKit; gives its reference."""
    dockerfile = "\n".join([f"FROM {recipe.base or good}", *recipe.lines, ""]).encode()
    context = io.BytesIO(packed({**recipe.files, "Dockerfile": File(dockerfile, 0o644)}))
    reference = f"byoc-check-{recipe.name}:{tag}"
    for line in client.api.build(
        fileobj=context, custom_context=True, tag=reference, rm=True, forcerm=True, decode=True
    ):
        assert "error" not in line, line
    return reference


def loaded(client: docker.DockerClient, files: Mapping[str, File], reference: str, architecture: str) -> str:
    """Make an image of files alone, for any architecture."""
    layer = packed(files)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    index = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    parts = {"config.json": json.dumps(config), "manifest.json": json.dumps(index)}
    image = packed({"layer.tar": File(layer)} | {name: File(text.encode()) for name, text in parts.items()})
    for line in client.api.load_image(image):  # type: ignore[no-untyped-call]
        assert "error" not in line, line
    return reference


def findings(
    reference: str, folder: Path, only: Sequence[str] = (), *, asked: Sequence[str] = (), timeout: float = 60.0
) -> dict[str, Finding]:
    """Check an image in this process; gives what was found, by rule id."""
    engine = connect()
    image = engine.image(reference)
    assert image
    order = Order(project.load(folder), reference, image, timeout=timeout)
    rules = selection.chosen(STEPS, only, [], asked=asked)
    with warnings.catch_warnings():
        # docker-py never closes the connection of an attach: the garbage collector does, and it warns.
        warnings.simplefilter("ignore", ResourceWarning)
        found = {each.rule.id: each for each in check(STEPS, rules, Benches(order, connect), Quiet())}
        gc.collect()
    return found
