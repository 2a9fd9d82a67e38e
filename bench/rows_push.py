"""The rows about `byoc push`: against the plain docker client, to a registry on this machine and moto as AWS."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import data
from bench.figures import Figure, Reach
from bench.shell import BenchError, byoc, measured, run, side_by_side, timed
from bench.workshop import Workshop, require_space

if TYPE_CHECKING:
    from tests.integration.push.ecr import Aws

_LAYERS = 8
_NUMBERS = itertools.count(1)


def missing(_shop: Workshop) -> str:
    """Why the row is left out."""
    if not (importlib.util.find_spec("moto") and importlib.util.find_spec("bcrypt")):
        return "moto and bcrypt are not installed"
    from tests.integration.push import registry

    return "" if registry.program() else "there is no docker-registry: scripts/setup engine installs it"


@dataclass(frozen=True)
class Target:
    """A registry that has nothing yet, and the words before a command that goes there."""

    host: str
    words: tuple[str, ...]


def push(shop: Workshop) -> list[Figure]:
    """Cold, unchanged, and the memory of it."""
    from tests.integration.push import ecr, registry

    require_space(shop.folder, 6 * data.MODEL_BYTES)
    image = _image(shop)
    memory: list[float] = []
    with ecr.served(registry.Registry(0, ecr.TOKEN)) as aws:

        def ours() -> float:
            with _registry(shop, aws) as target:
                seconds = timed([*target.words, *_byoc_push(image)], cwd=shop.project)
                _forget(shop, target)
                return seconds

        def against() -> float:
            with _registry(shop, aws) as target:
                _login(shop, target)
                run([shop.docker, "tag", image, f"{target.host}/x:v1"])
                seconds = timed([*target.words, shop.docker, "push", f"{target.host}/x:v1"])
                _forget(shop, target)
                return seconds

        cold = side_by_side(ours, against, shop.rounds)
        with _registry(shop, aws) as target:
            memory.append(measured([*target.words, *_byoc_push(image)], cwd=shop.project).megabytes)
            _login(shop, target)
            name = next(name for name in _names(shop, target))
            again = side_by_side(
                lambda: timed([*target.words, *_byoc_push(image)], cwd=shop.project),
                lambda: timed([*target.words, shop.docker, "push", name]),
                shop.rounds,
            )
            _forget(shop, target)
    return [
        Figure("push", "`byoc push` of 1 GiB in 8 layers", "s", Reach(1.1), *cold, "`docker push`"),
        Figure("push-again", "the same again, unchanged", "s", Reach(1.5, "value"), *again, "`docker push`"),
        Figure("push-memory", "peak resident memory of `byoc push`", "MB", Reach(150, "value"), memory),
    ]


def _byoc_push(image: str) -> list[str]:
    return [*byoc(), "push", image, "--region", "us-west-2", "-q"]


def _image(shop: Workshop) -> str:
    """Build 1 GiB in 8 layers, each half noise and half text, without copying the files."""
    model = Path(shop.once("model of 1 GiB", lambda: data.write_model(shop.folder / "model")))
    folder = shop.folder / "layers"
    if not folder.exists():
        folder.mkdir()
        lines = ["FROM scratch"]
        for number in range(_LAYERS):
            names = [f"weights-{number}.bin", f"text-{number}.txt"]
            for name in names:
                os.link(model / name, folder / name)
            lines.append(f"COPY {' '.join(names)} /{number}/")
        (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    return shop.image("layers", folder)


@contextlib.contextmanager
def _registry(shop: Workshop, aws: Aws) -> Iterator[Target]:
    """Start a registry of its own for one sample: neither it nor the engine knows any layer of it."""
    from tests.integration.push import ecr, registry

    folder = shop.folder / f"registry-{next(_NUMBERS)}"
    folder.mkdir()
    with registry.running(folder, ecr.TOKEN) as port:
        # No proxy in front of it: only the engine's and the registry's own speed counts.
        aws.registry = registry.Registry(port, ecr.TOKEN, port)
        aws.reset()
        _forget_repositories()
        variables = aws.environment(DOCKER_CONFIG=str(folder / "docker"))
        yield Target(f"localhost:{port}", ("env", *(f"{name}={value}" for name, value in variables.items())))
    shutil.rmtree(folder)


def _forget_repositories() -> None:
    from moto.ecr.models import ecr_backends

    from tests.integration.push.ecr import ACCOUNT

    ecr_backends[ACCOUNT]["us-west-2"].repositories.clear()


def _login(shop: Workshop, target: Target) -> None:
    from tests.integration.push import ecr

    words = [*target.words, shop.docker, "login", "--username", "AWS", "--password-stdin", target.host]
    done = subprocess.run(words, input=ecr.TOKEN, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"docker login: {done.stderr}")


def _names(shop: Workshop, target: Target) -> list[str]:
    words = [shop.docker, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    return [name for name in run(words).split() if name.startswith(target.host)]


def _forget(shop: Workshop, target: Target) -> None:
    for name in _names(shop, target):
        run([shop.docker, "image", "rm", name])
