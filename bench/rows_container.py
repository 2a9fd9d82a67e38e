"""The rows about the bundled container: its training, its size, its start, its answers."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from bench import data, load
from bench.figures import Figure, Reach
from bench.polling import wait_for_ping
from bench.shell import BenchError, run
from bench.workshop import HERE, Workshop
from byoc_cli import project as projects

_STEPS, _BATCH = 100, 128
_LOAD_SECONDS = 4
_CLIENTS = 32


def cifar10(shop: Workshop) -> list[Figure]:
    """Train as the demo does, by plain `docker run`."""
    image, records = shop.cifar10(), shop.cifar10_data()
    config = shop.folder / "config"
    config.mkdir(exist_ok=True)
    hyperparameters = {"train-steps": str(_STEPS), "batch-size": str(_BATCH)}
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    accuracy = re.compile(projects.load(HERE.parent / "container").train.metrics["eval_accuracy"])
    mounts = ["-v", f"{config}:/opt/ml/input/config:ro", "-v", f"{records}:/opt/ml/input/data/training:ro"]
    # Volumes without a name go with the container.
    mounts += ["-v", "/opt/ml/model", "-v", "/opt/ml/output", "-v", "/opt/ml/checkpoints"]
    seconds, accuracies = [], []
    for _ in range(shop.rounds):
        start = time.perf_counter()
        printed = run([shop.docker, "run", "--rm", "--name", shop.container_name(), *mounts, image, "train"])
        seconds.append(time.perf_counter() - start)
        found = accuracy.findall(printed)
        if not found:
            raise BenchError(f"the training printed no accuracy:\n{printed[-500:]}")
        accuracies.append(float(found[-1]))
    what = f"{_STEPS} steps on the real CIFAR-10, batch {_BATCH}: "
    return [
        Figure("cifar10-accuracy", f"{what}test accuracy", "", Reach(0.5, "value", least=True), accuracies),
        Figure("cifar10-seconds", f"{what}`docker run` with evaluation", "s", Reach(60, "value"), seconds),
    ]


def image_size(shop: Workshop) -> list[Figure]:
    """What the engine says; the other side is the same base, nginx and requirements by plain pip."""
    plain = shop.image("plain", _plain_context(shop))
    ours, against = ([int(_inspect(shop, "image", image, "{{.Size}}")) / 1e9] for image in (shop.cifar10(), plain))
    reach = Reach(1.6, "value")
    return [Figure("image-size", "the bundled image", "GB", reach, ours, against, "the same packages with plain pip")]


def _plain_context(shop: Workshop) -> Path:
    folder = shop.folder / "plain"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_bytes((HERE / "plain" / "Dockerfile").read_bytes())
    (folder / "requirements.txt").write_bytes((HERE.parent / "container" / "requirements.txt").read_bytes())
    return folder


def serve_start(shop: Workshop) -> list[Figure]:
    """From the engine's own record of the start to the first 200."""
    image, model = shop.cifar10(), shop.cifar10_model()
    seconds = []
    for _ in range(shop.rounds + 1):
        with shop.container("-v", f"{model}:/opt/ml/model:ro", image, "serve") as name:
            ready = wait_for_ping(load.address(shop, name), load.PORT)
            seconds.append(ready - _time(_inspect(shop, "container", name, "{{.State.StartedAt}}")))
    what = "the bundled image: container start to /ping 200"
    # The first start reads the image from the disk, and is not counted.
    return [Figure("serve-start", what, "s", Reach(1.0, "value"), seconds[1:])]


def invocations(shop: Workshop) -> list[Figure]:
    """Real pictures as JSON through nginx: ours and the classic stack run side by side, one is loaded at a time."""
    model = shop.cifar10_model()
    ours_image = shop.cifar10()
    classic_image = shop.image("classic", HERE / "classic", "--build-arg", f"BASE_IMAGE={ours_image}")
    bodies = data.write_bodies(shop.cifar10_data() / "eval.tfrecords", shop.folder / "bodies")
    with _served(shop, ours_image, model) as ours, _served(shop, classic_image, model) as classic:
        _same_answers(shop, (ours, classic), bodies)
        rounds: list[dict[tuple[str, int], load.Load]] = []
        for _ in range(shop.rounds + 1):
            rounds.append({})
            for clients in (1, _CLIENTS):
                for server in (ours, classic):
                    seen = load.send(shop, classic_image, server, bodies, clients, _LOAD_SECONDS)
                    rounds[-1][server, clients] = seen
    counted = rounds[1:]  # the first one is the warm-up
    stack = "Flask + gunicorn + TensorFlow"
    one, many = "/invocations, one client, ", f"/invocations, {_CLIENTS} clients, "
    p50, classic_p50 = ([seen[server, 1].p50_ms for seen in counted] for server in (ours, classic))
    p99, classic_p99 = ([seen[server, 1].p99_ms for seen in counted] for server in (ours, classic))
    rate, classic_rate = ([seen[server, _CLIENTS].per_second for seen in counted] for server in (ours, classic))
    return [
        Figure("invocations-p50", f"{one}p50", "ms", Reach(0.6), p50, classic_p50, stack),
        Figure("invocations-p99", f"{one}p99", "ms", Reach(0.1), p99, classic_p99, stack),
        Figure("invocations-rate", f"{many}requests", "/s", Reach(2.5, least=True), rate, classic_rate, stack),
    ]


@contextlib.contextmanager
def _served(shop: Workshop, image: str, model: Path) -> Iterator[str]:
    with shop.container("-v", f"{model}:/opt/ml/model:ro", image, "serve") as name:
        wait_for_ping(load.address(shop, name), load.PORT)
        yield name


def _same_answers(shop: Workshop, servers: tuple[str, str], bodies: Path) -> None:
    """Two servers are only worth comparing if they compute the same."""
    for body in bodies.read_text("ascii").splitlines()[:20]:
        first, second = (load.classes(load.address(shop, server), body) for server in servers)
        if first != second:
            raise BenchError(f"the two servers do not agree: {first} and {second}")


def _inspect(shop: Workshop, kind: str, name: str, template: str) -> str:
    return run([shop.docker, kind, "inspect", "--format", template, name]).strip()


def _time(stamp: str) -> float:
    """Seconds since the epoch of the engine's time, whose nanoseconds Python does not read."""
    return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", stamp)).timestamp()
