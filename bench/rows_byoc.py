"""The rows about byoc itself: what it costs over plain docker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from bench import data
from bench.figures import Figure, Reach
from bench.polling import wait_for_ping
from bench.shell import BenchError, byoc, run, side_by_side, timed
from bench.workshop import Workshop, free_port, require_space

_HALF_A_SECOND = Reach(0.5, "difference")


def help_(shop: Workshop) -> list[Figure]:
    """`byoc --help` against the two libraries that any such command imports."""
    ours, against = side_by_side(
        lambda: timed([*byoc(), "--help"]),
        lambda: timed([sys.executable, "-c", "import typer, rich"]),
        shop.rounds,
    )
    what = "`byoc --help`, whole process"
    return [Figure("help", what, "s", Reach(1.5), ours, against, '`python -c "import typer, rich"`')]


def local_train(shop: Workshop) -> list[Figure]:
    """A container that exits at once: all the rest is overhead."""
    toy = shop.toy()
    ours, against = side_by_side(
        lambda: timed([*byoc(), "local-train", toy], cwd=shop.project),
        lambda: timed([shop.docker, "run", "--rm", toy, "train"]),
        shop.rounds,
    )
    what = "`byoc local-train` of a container that exits at once, whole process"
    return [Figure("local-train", what, "s", _HALF_A_SECOND, ours, against, "`docker run --rm`")]


def channel(shop: Workshop) -> list[Figure]:
    """A channel is mounted, not copied: its size must not matter."""
    toy = shop.toy()
    require_space(shop.folder, 3 * data.CHANNEL_FILES * data.CHANNEL_FILE_BYTES // 2)
    folder = shop.once("channel of 2 GB in 20,000 files", lambda: data.write_channel(shop.folder / "channel"))
    ours, against = side_by_side(
        lambda: timed([*byoc(), "local-train", toy, "--channel", f"training={folder}"], cwd=shop.project),
        lambda: timed([*byoc(), "local-train", toy], cwd=shop.project),
        shop.rounds,
    )
    what = "the same with a channel of 2 GB in 20,000 files"
    return [Figure("channel", what, "s", Reach(0.2, "difference"), ours, against, "without the channel")]


def serve_detach(shop: Workshop) -> list[Figure]:
    """From the command until the endpoint answers."""
    samples = side_by_side(lambda: serve_seconds(shop), lambda: _docker_run_seconds(shop), shop.rounds)
    what = "`byoc serve --detach` until ready, whole process"
    return [Figure("serve-detach", what, "s", _HALF_A_SECOND, *samples, "`docker run -d`, /ping polled every 10 ms")]


def serve_seconds(shop: Workshop) -> float:
    """Serve with byoc; stopping it is not in the time."""
    words: list[str | Path] = [
        *byoc(),
        "serve",
        shop.toy(),
        "--detach",
        "--model",
        _small_model(shop),
        "--port",
        str(free_port()),
    ]
    try:
        return timed(words, cwd=shop.project)
    finally:
        run([*byoc(), "stop", "-q"], cwd=shop.project, check=False)


def _docker_run_seconds(shop: Workshop) -> float:
    name, port = shop.container_name(), free_port()
    options = ["-v", f"{_small_model(shop)}:/opt/ml/model:ro", "-p", f"127.0.0.1:{port}:8080"]
    start = time.perf_counter()
    try:
        run([shop.docker, "run", "-d", "--name", name, *options, shop.toy(), "serve"])
        wait_for_ping("127.0.0.1", port)
        return time.perf_counter() - start
    finally:
        shop.remove_container(name)


def _small_model(shop: Workshop) -> Path:
    folder = shop.folder / "small-model"
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(b"1")
    return folder


def collect(shop: Workshop) -> list[Figure]:
    """Of a model of 1 GiB to model/ and model.tar.gz; the time is the job's own secondary status Uploading."""
    toy = shop.toy()
    # The source, the container's copy, this run's and the last run's folders and archives.
    require_space(shop.folder, 7 * data.MODEL_BYTES)
    model = shop.once("model of 1 GiB", lambda: data.write_model(shop.folder / "model"))

    def ours() -> float:
        words = [*byoc(), "local-train", "-q", toy, "--channel", f"model={model}", "--json"]
        description = json.loads(run(words, cwd=shop.project))
        _check_archive(Path(description["Run"]) / "model.tar.gz", model)
        run([*byoc(), "clean", "--yes", "--keep", "0"], cwd=shop.project, check=False)
        return _seconds_of(description, "Uploading")

    def against() -> float:
        archive = shop.folder / "against.tar.gz"
        try:
            return timed(["tar", "-czf", archive, "-C", model, "."])
        finally:
            archive.unlink(missing_ok=True)

    samples = side_by_side(ours, against, shop.rounds)
    what = "collecting a model of 1 GiB (half random, half text) into model/ and model.tar.gz"
    return [Figure("collect", what, "s", Reach(0.25), *samples, "`tar -czf` of it")]


def _seconds_of(description: dict[str, list[dict[str, str]]], status: str) -> float:
    for transition in description["SecondaryStatusTransitions"]:
        if transition["Status"] == status:
            start, end = (datetime.fromisoformat(transition[key]) for key in ("StartTime", "EndTime"))
            return (end - start).total_seconds()
    raise BenchError(f"the job never was in {status}")


def _check_archive(archive: Path, model: Path) -> None:
    """A fast archive that is not right would be no feat: gzip tests its checksum, tar its names."""
    names = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=False)
    expected = sorted(path.name for path in model.iterdir())
    if names.returncode != 0 or sorted(names.stdout.split()) != expected:
        raise BenchError(f"{archive} is not the model: {names.stderr.strip() or names.stdout[:200]}")
