"""Jobs that something is taken away from: a container, the network, the disk, a folder, the engine, byoc itself.

Nothing that was finished is lost, nothing is left that `byoc clean` does not remove, the message says what happened.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.training.door import Door, opened
from tests.integration.world import BYOC, LABEL, Byoc, Live, Ran, environment, wait_for

pytestmark = pytest.mark.integration

SAVES = "trap 'echo s >/opt/ml/model/saved; echo saved; exit 0' TERM"
WAITS = f"{SAVES}; echo m >/opt/ml/model/m; echo c >/opt/ml/checkpoints/c; echo training; while :; do sleep .05; done"
ENDS = "echo m >/opt/ml/model/m; echo c >/opt/ml/checkpoints/c"
# Until somebody gives the sign.
MEETS = f"{ENDS}; echo training; until [ -e /tmp/now ]; do sleep .05; done; echo on"
ARCHIVE_OF_MODEL = r"GET .*/archive\?path=%2Fopt%2Fml%2Fmodel"


class World:
    """A project, and the job that is run in it."""

    def __init__(self, byoc: Byoc, project: Path, client: docker.DockerClient) -> None:
        self.byoc = byoc
        self.project = project
        self.client = client
        self.job = f"chaos-{secrets.token_hex(4)}"  # networks of other projects may have the same name
        self.hosts = 1

    @property
    def run(self) -> Path:
        return self.project / ".byoc" / "runs" / self.job

    @property
    def described(self) -> dict[str, Any]:
        return dict(json.loads((self.run / "job.json").read_text()))

    @property
    def status(self) -> tuple[str, str]:
        return self.described["TrainingJobStatus"], self.described["SecondaryStatus"]

    def words(self, script: str, *more: str, hosts: int = 1) -> list[str]:
        self.hosts = hosts
        entrypoint = json.dumps(["sh", "-c", script])
        return ["local-train", "--name", self.job, "--instance-count", str(hosts), "--entrypoint", entrypoint, *more]

    def start(self, script: str, *more: str, hosts: int = 1, **how: Any) -> Live:
        return self.byoc.start(*self.words(script, *more, hosts=hosts), cwd=self.project, **how)

    def train(self, script: str, *more: str, hosts: int = 1, door: Door | None = None) -> Ran:
        return self.byoc(
            *self.words(script, *more, hosts=hosts),
            cwd=self.project,
            env={"DOCKER_HOST": door.address} if door else None,
        )

    def training(self, script: str, *more: str, hosts: int = 1, **how: Any) -> Live:
        """Start it and wait until all hosts train."""
        live = self.start(script, *more, hosts=hosts, **how)
        self.until_training(live)
        return live

    def until_training(self, live: Live) -> None:
        def there() -> bool:
            assert live.process.poll() is None, live.stderr
            return live.stderr.count("training\n") == self.hosts

        wait_for(there, 120, lambda: live.stderr)

    def container(self, number: int = 0) -> str:
        """The name of a host's container, of the last one without a number."""
        return f"byoc-{self.job}" if self.hosts == 1 else f"byoc-{self.job}-algo-{number or self.hosts}"

    def go_on(self) -> None:
        for number in range(1, self.hosts + 1):
            # Not through the archive API: it needs all that is mounted. The container may end before `touch` does.
            words = ["docker", "exec", self.container(number), "touch", "/tmp/now"]
            subprocess.run(words, check=False, capture_output=True, timeout=120)

    def docker(self, *words: str) -> None:
        subprocess.run(["docker", *words], check=True, capture_output=True, timeout=120)

    def left(self) -> tuple[int, int, int]:
        """How many containers, networks and volumes there are."""
        filters: dict[str, Any] = {"label": f"{LABEL}={self.project}"}
        return (
            len(self.client.containers.list(all=True, filters=filters)),
            len(self.client.networks.list(filters=filters)),
            len(self.client.volumes.list(filters=filters)),
        )

    def clean(self) -> dict[str, list[str]]:
        """`byoc clean`, after which nothing is left."""
        ran = self.byoc("clean", "--yes", "--json", cwd=self.project)
        assert ran.code == 0, ran.stderr
        assert self.left() == (0, 0, 0)
        assert not list(self.project.rglob(".staging"))
        return dict(ran.json())

    def follow(self, hint: str) -> None:
        """Do what the hint says, up to its remark."""
        command = hint[hint.index("docker cp") if "mkdir" not in hint else hint.index("mkdir") :].partition(" (")[0]
        subprocess.run(command, shell=True, cwd=self.project, check=True, capture_output=True, timeout=120)


@pytest.fixture
def world(byoc: Byoc, project: Path, docker_client: docker.DockerClient) -> Iterator[World]:
    world = World(byoc, project, docker_client)
    yield world
    if any(world.left()):  # by a test that failed
        byoc.close()
        byoc("clean", "--yes", cwd=project)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Give a folder a small file system of its own, as the engine and byoc see it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def said(ran: Ran, code: int, *texts: str) -> None:
    """See that it ended so, said this, and that no traceback is among it."""
    assert ran.code == code, ran.stderr
    assert "Traceback" not in ran.stderr
    for text in texts:
        assert text in ran.stderr, ran.stderr


def several(hosts: int, what: str) -> list[str]:
    return [what] if hosts == 1 else [f"hosts/algo-{number}/{what}" for number in range(1, hosts + 1)]


# -- the container -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_container_that_somebody_kills(world: World, hosts: int) -> None:
    live = world.training(WAITS, hosts=hosts)
    world.docker("kill", world.container())
    ran = live.end()
    said(ran, 1, f"error: the training job was stopped\nwhat it left is in {world.run}\n")
    assert world.status == ("Stopped", "Stopped")
    assert all((world.run / file).is_file() for file in several(hosts, "model/m"))
    if hosts == 2:
        said(ran, 1, "algo-2 was stopped: stopping the others, up to 120 s\n", "algo-1 | saved\n")
        assert (world.run / "model/saved").is_file()
    assert world.left() == (0, 0, 0)


@pytest.mark.parametrize("when", ["training", "collecting"])
@pytest.mark.parametrize("hosts", [1, 2])
def test_a_container_that_somebody_removes(world: World, hosts: int, when: str) -> None:
    with opened() as door:
        if when == "collecting":
            door.before(ARCHIVE_OF_MODEL, lambda: world.docker("rm", "--force", world.container()))
            ran = world.train(ENDS, hosts=hosts, door=door)
        else:
            live = world.training(WAITS, hosts=hosts)
            world.docker("rm", "--force", world.container())
            ran = live.end()
    said(ran, 1, f"error: somebody removed the container {world.container()} before its results were collected\n")
    said(ran, 1, f"what algo-{hosts} left is lost", "\n\nhint: docker rm or docker system prune does so: run the job")
    assert world.status == ("Failed", "Failed")
    assert not (world.project / ".byoc/latest").exists()
    if hosts == 2:
        said(ran, 1, f"; what the other hosts left is in {world.run}\n")
        assert (world.run / "model/m").is_file()
        assert (world.run / "model.tar.gz").is_file()
        assert (world.run / "checkpoints/c").is_file()
    assert world.left() == (0, 0, 0), "also the volumes that docker rm left"


# -- the network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3])
def test_a_network_that_somebody_takes_away(world: World, code: int) -> None:
    live = world.training(f"{MEETS}; exit {code}", hosts=2)
    network = f"byoc-{world.job}"
    for number in (1, 2):
        world.docker("network", "disconnect", "--force", network, world.container(number))
    world.docker("network", "rm", network)
    world.go_on()
    ran = live.end()
    lost = "algo-2 is not on the job's network any more: somebody disconnected it\n"
    if code:  # else it did not need it
        said(ran, 1, f"warning: {lost}", "FailureReason: AlgorithmError: , exit code: 3\n")
    else:
        said(ran, 0)
        assert lost not in ran.stderr
    assert world.status[0] == ("Failed" if code else "Completed")
    assert (world.run / "model/m").is_file()
    assert world.left() == (0, 0, 0)


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_network_that_is_gone_before_the_start(world: World, hosts: int) -> None:
    with opened() as door:
        door.before(r"POST .*/start", lambda: world.docker("network", "rm", f"byoc-{world.job}"))
        ran = world.train(WAITS, hosts=hosts, door=door)
    said(ran, 1, "error: the network is not there, or is not the only one of its name\n", "hint: run it again")
    assert world.status == ("Failed", "Failed")
    assert world.left() == (0, 0, 0)


# -- folders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hosts", "mode"), [(1, "Pipe"), (2, "File")])
def test_a_run_s_folder_that_somebody_removes(world: World, hosts: int, mode: str) -> None:
    """What is staged in it goes, too; results come all the same, as does the log."""
    (world.project / "data").mkdir()
    (world.project / "data/x").write_text("x")
    live = world.training(
        MEETS, "--channel", f"a=data,mode={mode},distribution=ShardedByS3Key", "--checkpoints", "mine", hosts=hosts
    )
    shutil.rmtree(world.run)
    world.go_on()
    said(live.end(), 0, f"warning: somebody removed {world.run}/log.txt while the job ran: it is made again\n")
    assert world.status == ("Completed", "Completed")
    with tarfile.open(world.run / "model.tar.gz") as tar:
        assert tar.getnames() == ["m"]
    assert sorted((world.run / "log.txt").read_text().replace("algo-1 | ", "").replace("algo-2 | ", "").split()) == (
        sorted(["training", "on"] * hosts)
    )
    assert (world.run / "input/config/hyperparameters.json").is_file()
    assert (world.project / "mine/c").is_file()
    assert world.left() == (0, 0, 0)
    assert not (world.run / ".staging").exists()


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_data_that_somebody_removes(world: World, mode: str) -> None:
    """An engine does not look into a container any more when something that is mounted in it is gone."""
    (world.project / "data").mkdir()
    (world.project / "data/x").write_text("x")
    live = world.training(MEETS, "--channel", f"a=data,mode={mode}")
    shutil.rmtree(world.project / "data")
    world.go_on()
    ran = live.end()
    gone = f"error: what the job left cannot be collected\n{world.project}/data is not there any more, and an engine"
    said(ran, 1, gone, "hint: to save what the job made: mkdir -p ")
    assert world.status == ("Failed", "Failed")
    world.follow(ran.error)
    assert (world.project / "model/m").is_file()
    assert world.clean()["containers"] == [world.container()]


def test_a_home_that_cannot_be_written_any_more(world: World, unprivileged: tuple[str, ...]) -> None:
    live = world.training(MEETS, before=unprivileged)
    world.run.chmod(0o555)
    world.go_on()
    ran = live.end()
    world.run.chmod(0o755)
    said(ran, 1, f"error: /opt/ml/model cannot be collected into {world.run}/model\n", "Permission denied")
    said(ran, 1, f"warning: the job is Failed, but {world.run}/job.json cannot be written: Permission denied\n")
    world.follow(ran.error)
    assert (world.project / "model/m").is_file()
    assert world.byoc("runs", cwd=world.project).stdout.splitlines()[1].split()[:2] == [world.job, "Orphaned"]
    assert world.clean()["containers"] == [world.container()]


# -- the disk ----------------------------------------------------------------------------------------------------------


def writes(megabytes: int) -> str:
    return f"head -c {megabytes}000000 /dev/urandom >/opt/ml/model/weights-$HOSTNAME"


def many(files: int) -> str:
    return f"cd /opt/ml/model; for i in $(seq {files}); do echo $i >$HOSTNAME-$i; done"


@pytest.mark.parametrize(
    ("options", "script", "hosts", "why"),
    [
        ("size=90m", writes(40), 2, "the next file needs 40 MB"),
        ("size=150m", writes(80), 1, "MB are free at"),  # the model fits, its archive does not
        ("size=148m", writes(40), 2, "MB are free at"),
        ("size=150m,nr_inodes=250", many(80), 2, "no more files can be made there"),  # nor does the merge
    ],
    ids=["a host's model", "the archive", "the archive of two hosts", "the merge"],
)
def test_a_disk_that_is_too_small(world: World, options: str, script: str, hosts: int, why: str) -> None:
    with mounted(world.project / ".byoc", options):
        ran = world.train(script, hosts=hosts)
        said(ran, 1, "error: the disk is too full to collect what the job left\n", why, "hint: free some space, then: ")
        assert world.status == ("Failed", "Failed")
        assert not (world.run / "model.tar.gz").exists()
        assert not list(world.run.glob(".*"))
        world.follow(ran.error)
        names = [world.container(number) for number in range(1, hosts + 1)]
        assert sorted(world.clean()["containers"]) == names
    for folder in ["model"] if hosts == 1 else ["algo-1", "algo-2"]:
        assert any((world.project / folder).iterdir()), "nothing of it is lost"


def test_a_disk_that_somebody_fills_while_the_job_runs(world: World) -> None:
    """Not a byte is free: neither for the log nor for job.json, but what was set aside for the last word."""
    with mounted(world.project / ".byoc", "size=8m") as home:
        live = world.training(f"{MEETS}; seq 20000")
        assert subprocess.run(["dd", "if=/dev/zero", f"of={home}/big"], capture_output=True, check=False).returncode
        world.go_on()
        ran = live.end()
        said(ran, 1, "warning: the log cannot be written, and has gaps from here on: No space left on device\n")
        said(ran, 1, "error: the disk is too full to collect what the job left\n0 MB are free", "docker cp")
        assert "\n20000\n" in ran.stderr, "the job went on"
        assert world.status == ("Failed", "Failed")
        world.follow(ran.error)
        assert world.clean()["containers"] == [world.container()]
    assert (world.project / "model/m").is_file()


@pytest.mark.parametrize("code", [0, 3])
def test_checkpoints_that_have_no_room(world: World, code: int) -> None:
    """The old ones stay whole, the new ones are in the run's folder; a job that failed has its own error to say."""
    with mounted(world.project / "mine", "size=5m") as mine:
        (mine / "a").write_text("a")
        (mine / "b").write_text("b")
        script = f"{ENDS}; cd /opt/ml/checkpoints; rm a; head -c 6000000 /dev/zero >b; exit {code}"
        ran = world.train(script, "--checkpoints", "mine", hosts=2 if code else 1)
        assert {path.name: path.read_text() for path in mine.iterdir()} == {"a": "a", "b": "b"}
    label = "warning" if code else "error"
    said(ran, 1, f"{label}: the checkpoints in {mine} cannot be brought up to date\nNo space left on device: {mine}/")
    said(ran, 1, f"hint: the job's are in {world.run}/checkpoints: cp -a ")
    assert ("FailureReason: AlgorithmError: , exit code: 3\n" in ran.error) == bool(code)
    assert world.status == ("Failed", "Failed")
    assert (world.run / "checkpoints/b").stat().st_size == 6_000_000
    assert (world.run / "model.tar.gz").is_file()
    assert world.left() == (0, 0, 0)


# -- byoc itself -------------------------------------------------------------------------------------------------------


def killed(live: Live) -> None:
    live.send(signal.SIGKILL)
    live.process.wait()


def with_channels(world: World) -> list[str]:
    """Words for a channel of each mode."""
    (world.project / "data").mkdir()
    for name in ("x", "y"):
        (world.project / "data" / name).write_text(name)
    modes = ("mode=File", "mode=File,distribution=ShardedByS3Key", "mode=Pipe")
    return [word for number, mode in enumerate(modes) for word in ("--channel", f"c{number}=data,{mode}")]


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_killed_byoc_leaves_what_clean_finds(world: World, hosts: int) -> None:
    live = world.training(WAITS, *with_channels(world), hosts=hosts)
    staging = world.run / ".staging"
    assert world.byoc("clean", "--yes", "--json", cwd=world.project).json()["staging"] == [], "it lives"
    killed(live)
    rows = world.byoc("ps", "--json", cwd=world.project).json()
    assert [(row["name"], row["state"]) for row in rows] == [(world.job, "orphaned")] * hosts
    listed = world.byoc("runs", cwd=world.project)
    assert listed.stdout.splitlines()[1].split()[:2] == [world.job, "Orphaned"]
    assert "hint: byoc clean removes it\n" in listed.stderr
    assert staging.is_dir()
    cleaned = world.clean()
    assert cleaned["staging"] == [f".byoc/runs/{world.job}/.staging"]
    assert sorted(cleaned["containers"]) == [world.container(number) for number in range(1, hosts + 1)]
    assert cleaned["networks"] == [f"byoc-{world.job}"]
    assert sum(name.endswith("-writes") for name in cleaned["volumes"]) == hosts
    assert (world.project / "data/x").read_text() == "x"
    assert world.byoc("clean", "--json", cwd=world.project).json()["staging"] == []


@pytest.mark.parametrize("hosts", [1, 2])
def test_stop_ends_the_job_of_a_killed_byoc(world: World, hosts: int) -> None:
    killed(world.training(f"{WAITS}", *with_channels(world), hosts=hosts))
    stopped = world.byoc("stop", world.job, "--json", cwd=world.project)
    assert (stopped.code, stopped.json()) == (0, [world.job]), stopped.stderr
    assert f"what {world.job} left is in {world.run}\n" in stopped.stderr
    assert world.status == ("Stopped", "Stopped")
    with tarfile.open(world.run / "model.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["m", "saved"]
    assert (world.run / "log.txt").read_text().count("saved\n") == hosts, "what it printed since is in the log"
    assert world.left() == (0, 0, 0)
    assert not (world.run / ".staging").exists()


def test_a_byoc_that_is_killed_after_an_interruption(world: World) -> None:
    again = f"if [ -e /opt/ml/checkpoints/c ]; then echo again; fi; {WAITS}"
    live = world.start(again, "--interrupt-after", "3s", "--checkpoints", "mine", *with_channels(world), hosts=2)
    live.until("again\n")
    killed(live)
    phases = [row["Status"] for row in world.described["SecondaryStatusTransitions"]]
    assert phases[3:5] == ["Interrupted", "Restarting"]
    assert (world.project / "mine/c").is_file(), "as in the cloud, where S3 has them all the time"
    assert (world.run / "checkpoints/c").is_file()
    assert len(world.clean()["containers"]) == 2
    assert (world.run / "checkpoints/c").is_file()


# -- signals -----------------------------------------------------------------------------------------------------------

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_two_hosts_train(world: World, number: signal.Signals, code: int) -> None:
    live = world.training(WAITS, hosts=2)
    live.send(number)
    ran = live.end()
    said(ran, code, "stopping the job: SIGTERM, up to 120 s", "algo-1 | saved\n", "algo-2 | saved\n")
    assert world.status == ("Stopped", "Stopped")
    assert all((world.run / f"hosts/algo-{host}/model/saved").is_file() for host in (1, 2))
    assert world.left() == (0, 0, 0)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (r"POST .*/networks/create", "Stopped"),  # while the hosts are made
        (r"POST .*/start", "Stopped"),  # while they start, each after its own delay
        (ARCHIVE_OF_MODEL, "Completed"),  # while results are collected: too late to stop anything
    ],
    ids=["made", "started", "collected"],
)
def test_a_signal_at_any_moment(world: World, number: signal.Signals, code: int, request_: str, status: str) -> None:
    def send() -> None:
        live.send(number)
        time.sleep(0.1)

    with opened() as door:
        door.before(request_, send)
        script = ENDS if status == "Completed" else WAITS
        live = world.start(script, hosts=2, env={"DOCKER_HOST": door.address})
        ran = live.end()
    said(ran, code)
    assert "error:" not in ran.stderr
    assert world.status == (status, status)
    assert (world.run / "model.tar.gz").is_file() == (status == "Completed" or "/start" in request_)
    assert world.left() == (0, 0, 0)


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_second_ctrl_c_gives_the_results_up(world: World, hosts: int) -> None:
    def twice() -> None:
        live.ctrl_c()
        live.until("collecting the artifacts first")  # two at once would be one
        live.ctrl_c()
        time.sleep(0.2)

    with opened() as door:
        door.before(ARCHIVE_OF_MODEL, twice)
        live = world.start(ENDS, hosts=hosts, env={"DOCKER_HOST": door.address})
        ran = live.end()
    said(ran, 130, "collecting the artifacts first; press Ctrl-C again to give them up\n")
    assert world.status == ("Stopped", "Stopped")
    assert world.left() == (0, 0, 0)


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_reader_that_has_enough(world: World, hosts: int) -> None:
    """`byoc local-train 2>&1 | head -1`: nobody would see what goes on, so the job is stopped, and may save."""
    script = f"{SAVES}; echo m >/opt/ml/model/m; while :; do echo step; sleep .05; done"
    words = [BYOC, *world.words(script, hosts=hosts)]
    with subprocess.Popen(
        words, cwd=world.project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith(f"job {world.job}: ".encode())
        process.stdout.close()
        assert process.wait(120) == 141
    assert world.status == ("Stopped", "Stopped")
    assert (world.run / "model/saved").is_file(), "of the host whose words nobody read; the other may not have begun"
    assert (world.run / "model.tar.gz").is_file()
    assert world.left() == (0, 0, 0)


# -- the engine --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("when", ["training", "collecting"])
def test_an_engine_that_does_not_answer_any_more(world: World, hosts: int, when: str) -> None:
    with opened() as door:
        if when == "collecting":
            door.before(ARCHIVE_OF_MODEL, door.slam)
            ran = world.train(ENDS, hosts=hosts, door=door)
        else:
            live = world.training(WAITS, hosts=hosts, env={"DOCKER_HOST": door.address})
            door.slam()
            ran = live.end()
    said(ran, 3, "error: the Docker Engine does not answer any more\n", "when it answers again: docker cp ")
    assert world.status == ("Failed", "Failed")
    assert world.described["FailureReason"].startswith("the Docker Engine does not answer any more")
    # It answers again: what the hint says is true.
    world.follow(ran.error)
    assert (world.project / ("model" if hosts == 1 else "algo-2") / "m").is_file()
    assert len(world.clean()["containers"]) == hosts


def test_an_engine_that_goes_while_the_hosts_are_made(world: World) -> None:
    with opened() as door:
        door.before(r"PUT .*/archive", door.slam)
        ran = world.train(WAITS, hosts=2, door=door)
    said(ran, 3, "error: the Docker Engine does not answer any more\n", "hint: byoc clean removes it\n")
    assert world.status == ("Failed", "Failed")
    assert len(world.clean()["containers"]) == 1
