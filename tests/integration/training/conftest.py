"""The probe's jobs that tests of several modules look at: each runs once a session."""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path

import docker
import pytest

from tests.integration.conftest import Build
from tests.integration.training.lab import Lab, Probed, do, hashed, neighbour, new_lab
from tests.integration.world import Byoc, Live, nothing_stays

FOLDER = {"b.csv": "3,4\n", "a.csv": "1,2\n", "below/ü 1.txt": "deep\n"}
BIG = random.Random(1).randbytes(3_000_001)  # more than a pipe holds: who closes early is noticed
ZIPPED = {"1.gz": b"first", "2.gz": b"the second"}


@pytest.fixture(scope="session")
def probe(build: Build) -> str:
    """The image that tells what it sees."""
    return build("probe")


@pytest.fixture(scope="session")
def lab(
    session_byoc: Byoc,
    probe: str,
    docker_client: docker.DockerClient,
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Lab:
    """A project of that image, with data and checkpoints."""
    lab = new_lab(session_byoc, tmp_path_factory.mktemp("lab") / "project", probe, docker_client, root)
    data = lab.project / "data"
    for name, text in FOLDER.items():
        (data / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (data / "tree" / name).write_text(text)
    (data / "one.csv").write_text("one file\n")
    for folder, files in {
        "letters": {name: name.encode() for name in "abcde"},
        "big": {"object": BIG},
        "zipped": {name: gzip.compress(content) for name, content in ZIPPED.items()},
    }.items():
        (data / folder).mkdir()
        for name, content in files.items():
            (data / folder / name).write_bytes(content)
    # In another order than S3's, and not all.
    (data / "list.json").write_text(json.dumps([{"prefix": "tree"}, "below/ü 1.txt", "a.csv"]))
    return lab


@pytest.fixture(scope="session")
def ran(lab: Lab) -> dict[str, Probed]:
    """The jobs, side by side: `plain` has no option, `full` all that change what one host finds, `two` two hosts."""
    tree, one = lab.project / "data" / "tree", lab.project / "data" / "one.csv"
    kept = lab.project / "kept"
    kept.mkdir()
    (kept / "step-1").write_text("1\n")
    (kept / "step-2").write_text("2\n")
    before = hashed(lab.project / "data")
    with neighbour() as outside:
        jobs = lab.run(
            {
                "Plain": (),
                "Full": (
                    *("--instance-type", "ml.m5.large", "--shm-size", "96m", "--max-runtime", "1h"),
                    *("--checkpoints", kept, "--channel", f"training={tree},content-type=text/csv"),
                    *("--channel", f"single={one}", "--channel", f"fast={tree},mode=FastFile"),
                    *("--channel", f"listed={tree.parent},manifest={tree.parent / 'list.json'}"),
                    *("--hyperparam", 'text=say "grüezi"', "--hyperparam", "rate=0.1", "--env", "ASKED=for this"),
                    *do("report", "resume", "leave"),
                ),
                "Two": (
                    *("--instance-count", "2", "--channel", f"whole={tree}", "--hyperparam", f"outside={outside}"),
                    *("--channel", f"shards={tree},distribution=ShardedByS3Key"),
                    *("--channel", f"few={one},distribution=ShardedByS3Key"),
                    *do("report", "meet", "outside", "leave@algo-1", "linger@algo-2", "leave@algo-2"),
                ),
            }
        )
    assert {name: job.ran.code for name, job in jobs.items()} == dict.fromkeys(jobs, 0), [
        job.ran.stderr[-2000:] for job in jobs.values()
    ]
    assert hashed(lab.project / "data") == before, "what is given as a channel never changes (T-58)"
    return jobs


@pytest.fixture(scope="session")
def plain(ran: dict[str, Probed]) -> Probed:
    """A job of which nothing was said."""
    return ran["Plain"]


@pytest.fixture(scope="session")
def full(ran: dict[str, Probed]) -> Probed:
    """A job with channels, checkpoints and limits."""
    return ran["Full"]


@pytest.fixture(scope="session")
def two(ran: dict[str, Probed]) -> Probed:
    """A job of two hosts."""
    return ran["Two"]


READS = (
    [["shuffled", 0, None]],
    [["shuffled", 1, None], ["big", 0, None]],
    [["big", 1, 100]],
    [["big", 2, None]],
    [["shuffled", 2, None]],
    [["records", 0, None], ["zipped", 0, None]],
)


@pytest.fixture(scope="session")
def pipes(lab: Lab) -> dict[str, Probed]:
    """Jobs in Pipe mode: `Piped` with every kind of channel, `Moved` two hosts whose shards change."""
    data = lab.project / "data"
    before = hashed(data)
    jobs = lab.run(
        {
            "Piped": (
                *("--channel", f"shuffled={data / 'letters'},mode=Pipe,shuffle-seed=7"),
                *("--channel", f"big={data / 'big'},mode=Pipe"),
                *("--channel", f"zipped={data / 'zipped'},mode=Pipe,compression=Gzip"),
                *("--channel", f"records={data / 'zipped'},mode=Pipe,compression=Gzip,record-wrapper=RecordIO"),
                *("--channel", f"beside={data / 'tree'}", "--channel", f"fast={data / 'tree'},mode=FastFile"),
                *("--hyperparam", f"pipes={json.dumps(READS)}", *do("report", "pipes")),
            ),
            "Moved": (
                *("--instance-count", "2", *do("pipes")),
                *("--channel", f"moving={data / 'letters'},mode=Pipe,shuffle-seed=7,distribution=ShardedByS3Key"),
                *("--hyperparam", f"pipes={json.dumps([[['moving', epoch, None]] for epoch in range(3)])}"),
            ),
        }
    )
    assert {name: job.ran.code for name, job in jobs.items()} == dict.fromkeys(jobs, 0), [
        job.ran.stderr[-2000:] for job in jobs.values()
    ]
    assert hashed(data) == before
    return jobs


@pytest.fixture(scope="session")
def piped(pipes: dict[str, Probed]) -> Probed:
    """A job of one host in Pipe mode."""
    return pipes["Piped"]


@pytest.fixture(scope="session")
def moved(pipes: dict[str, Probed]) -> Probed:
    """A job of two hosts in Pipe mode."""
    return pipes["Moved"]


@pytest.fixture(scope="session")
def stopped(lab: Lab, build: Build) -> dict[str, Probed]:
    """Jobs that are ended from outside, side by side, for it takes time; and one that fails on one of two hosts.

    A time is long enough for a container to have begun: PID 1 does not hear a SIGTERM that it does not expect.
    """
    kept = lab.project / "kept-by-spot"
    kept.mkdir()
    (kept / "step-1").write_text("1\n")
    with nothing_stays(lab.client, lab.root), neighbour() as outside:
        live = {
            "Slow": lab.start("Slow", "--hyperparam", "seconds=11", *do("wait")),
            "Limited": lab.start("Limited", "--max-runtime", "12s", *do("wait")),
            "Spot": lab.start(
                *("Spot", "--interrupt-after", "12s", "--checkpoints", kept, "--hyperparam", "steps=3"),
                *do("report", "resume"),
            ),
            "Shell": lab.start("Shell", *do("report", "wait"), image=build("probe", "shell-form")),
            "Failing": lab.start(
                *("Failing", "--instance-count", "2", "--network-isolation", "--hyperparam", f"outside={outside}"),
                *do("report", "meet", "outside", "wait@algo-1", "fail@algo-2"),
            ),
            "Background": lab.start("Background", *do("spawn")),
        }
        _interfere(lab, live)
        (kept / "late").write_text("added while it ran\n")
        return {name: lab.end(one) for name, one in live.items()}


def _interfere(lab: Lab, live: dict[str, tuple[str, Live]]) -> None:
    """Stop one with `byoc stop`, and one with two Ctrl-C, which is the only thing that ends it before 120 s."""
    for name in ("Slow", "Shell", "Spot"):
        live[name][1].until("waiting ")
    stop = lab.byoc.start("stop", live["Slow"][0], cwd=lab.project)
    live["Shell"][1].ctrl_c()
    live["Shell"][1].until("stopping the job: SIGTERM")
    time.sleep(1)  # what does not hear the signal cannot be waited for
    live["Shell"][1].ctrl_c()
    assert stop.end().code == 0
