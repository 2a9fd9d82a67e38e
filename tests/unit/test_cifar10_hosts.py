"""The bundled container on several hosts, without TensorFlow: who is who, what each reads, waiting, and the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cifar10 import Data, find_data
from hosts import Hosts, reach_all, read_hosts, reads_shards
from sagemaker_job import JobError, StopRequest, left_within

from byoc_cli.contract import training

TWELVE = [f"algo-{number}" for number in range(1, 13)]
CODE = Path(__file__).parents[2] / "container" / "cifar10"


def write_config(root: Path, name: str, content: str) -> None:
    folder = root / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def hosts_as_written_by_the_platform(root: Path, names: list[str], current: str) -> Hosts:
    write_config(root, "resourceconfig.json", training.resource_config_json(names, current, "ml.m5.xlarge"))
    return read_hosts(root)


# -- who is who -------------------------------------------------------------------------------------------------------


def test_without_the_file_a_job_has_one_host(tmp_path: Path) -> None:
    hosts = read_hosts(tmp_path)

    assert (hosts.count, hosts.is_chief, hosts.share(128)) == (1, True, 128)


def test_every_host_knows_the_same_order_and_one_chief(tmp_path: Path) -> None:
    # Sorted as strings: algo-10 comes before algo-2 (T-17).
    all_hosts = [hosts_as_written_by_the_platform(tmp_path, TWELVE, name) for name in TWELVE]

    assert {hosts.names for hosts in all_hosts} == {tuple(sorted(TWELVE))}
    assert sorted(hosts.index for hosts in all_hosts) == list(range(12))
    assert [hosts.current for hosts in all_hosts if hosts.is_chief] == ["algo-1"]
    assert all_hosts[1].index == 4


def test_the_order_is_the_same_whatever_the_file_says(tmp_path: Path) -> None:
    write_config(tmp_path, "resourceconfig.json", '{"hosts": ["b", "c", "a"], "current_host": "a"}')

    assert read_hosts(tmp_path) == Hosts(("a", "b", "c"), "a", "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must name hosts and current_host"),
        ('{"hosts": ["algo-1"]}', "must name hosts and current_host"),
        ('{"hosts": ["algo-1"], "current_host": "algo-2"}', "the current_host 'algo-2' is not among the hosts algo-1"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    write_config(tmp_path, "resourceconfig.json", content)

    with pytest.raises(JobError, match=message):
        read_hosts(tmp_path)


def test_tf_config_has_the_hosts_in_order_and_this_one_s_number() -> None:
    hosts = Hosts(("algo-1", "algo-10", "algo-2"), "algo-10", "172.18.0.3")

    assert hosts.tf_config() == {
        "cluster": {"worker": ["algo-1:2222", "172.18.0.3:2222", "algo-2:2222"]},
        "task": {"type": "worker", "index": 1},
    }


def test_the_host_s_own_address_is_its_interface_s(tmp_path: Path) -> None:
    # Its own name may be wrong in /etc/hosts (T-71), and the interface has another name elsewhere (T-18).
    content = {"hosts": ["algo-1", "algo-2"], "current_host": "algo-2", "network_interface_name": "lo"}
    write_config(tmp_path, "resourceconfig.json", json.dumps(content))
    assert read_hosts(tmp_path).address == "127.0.0.1"

    write_config(tmp_path, "resourceconfig.json", json.dumps(content | {"network_interface_name": "ethwe"}))
    assert read_hosts(tmp_path).address == "algo-2"


# -- what each reads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "count"), [(128, 1), (128, 2), (7, 3), (6, 3), (1_000, 7)])
def test_the_shares_are_a_batch(batch_size: int, count: int) -> None:
    names = tuple(f"h{index}" for index in range(count))
    shares = [Hosts(names, name).share(batch_size) for name in names]

    assert sum(shares) == batch_size
    assert max(shares) - min(shares) <= 1


def test_a_batch_that_is_too_small_to_share_is_refused() -> None:
    with pytest.raises(JobError, match=r"batch-size is 5: 3 hosts share it .* give at least 6"):
        Hosts(("a", "b", "c"), "b").share(5)


def test_replicated_files_are_read_in_turns(tmp_path: Path) -> None:
    (tmp_path / "train.tfrecords").write_bytes(b"x")
    (tmp_path / "eval.tfrecords").write_bytes(b"x")
    train, evaluation = [tmp_path / "train.tfrecords"], [tmp_path / "eval.tfrecords"]

    assert find_data(tmp_path, Hosts()) == Data(train, evaluation, (1, 0))
    assert find_data(tmp_path, Hosts(("a", "b"), "a")) == Data(train, evaluation, (2, 0))
    assert find_data(tmp_path, Hosts(("a", "b"), "b")) == Data(train, [], (2, 1))


def test_dealt_files_are_read_whole(tmp_path: Path) -> None:
    for name in ("train-1.tfrecords", "train-0.tfrecords"):
        (tmp_path / name).write_bytes(b"x")
    data = find_data(tmp_path, Hosts(("a", "b"), "a"), sharded=True)

    assert data == Data([tmp_path / "train-0.tfrecords", tmp_path / "train-1.tfrecords"], [], (1, 0))


def test_a_host_that_was_dealt_no_training_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "eval.tfrecords").write_bytes(b"x")

    with pytest.raises(JobError, match=r"it holds eval\.tfrecords .* ShardedByS3Key .* at least 2 train-"):
        find_data(tmp_path, Hosts(("a", "b"), "a"), sharded=True)


@pytest.mark.parametrize("distribution", ["FullyReplicated", "ShardedByS3Key"])
def test_the_distribution_is_the_channel_s(tmp_path: Path, distribution: str) -> None:
    assert not reads_shards("training", tmp_path)
    channels = {"training": training.ChannelConfig(distribution=distribution), "other": training.ChannelConfig()}
    write_config(tmp_path, "inputdataconfig.json", training.input_data_config_json(channels))

    assert reads_shards("training", tmp_path) == (distribution == "ShardedByS3Key")
    assert not reads_shards("other", tmp_path)


# -- waiting, and the end ---------------------------------------------------------------------------------------------


class Starting:
    """Peers that resolve and answer only after some tries."""

    def __init__(self, tries: int, stop_at: int = 0) -> None:
        self.tries, self.stop_at, self.asked, self.stop = tries, stop_at, list[str](), StopRequest()

    def reach(self, name: str) -> None:
        self.asked.append(name)
        if len(self.asked) == self.stop_at:
            self.stop._remember(signal.SIGTERM, None)
        if self.asked.count(name) <= self.tries:
            raise OSError("Name or service not known")


def test_hosts_that_start_later_are_waited_for() -> None:
    peers = Starting(tries=2)

    reach_all(["algo-2", "algo-3"], peers.stop, peers.reach)

    assert peers.asked == ["algo-2"] * 3 + ["algo-3"] * 3


def test_a_stop_ends_the_waiting() -> None:
    peers = Starting(tries=1_000, stop_at=2)

    reach_all(["algo-2", "algo-3"], peers.stop, peers.reach)

    assert peers.asked == ["algo-2"] * 2


def test_a_host_that_never_comes_is_named() -> None:
    peers = Starting(tries=1_000)

    with pytest.raises(JobError, match=r"host algo-2 cannot be reached after 0\.1 s: Name or service not known"):
        reach_all(["algo-2"], peers.stop, peers.reach, seconds=0.1)


def test_leaving_in_time_leaves_no_trace(tmp_path: Path) -> None:
    with left_within(0.01, StopRequest(), "too late", tmp_path):
        pass
    assert signal.set_wakeup_fd(-1) == -1


STUCK = """
import pathlib, sys, time
from sagemaker_job import StopRequest, left_within
stop = StopRequest().listen()
with left_within(0.2, stop, "the others do not answer", pathlib.Path(sys.argv[1])):
    print("inside", flush=True)
    while True:
        time.sleep(60)
"""


def test_a_host_that_is_stuck_ends_after_a_stop(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    words = [sys.executable, "-c", STUCK, str(tmp_path)]
    with subprocess.Popen(words, cwd=CODE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 1
    assert stderr == "error: the others do not answer\n"
    assert (tmp_path / "output" / "failure").read_text() == "the others do not answer"
