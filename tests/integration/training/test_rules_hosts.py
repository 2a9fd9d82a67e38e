"""T-60 and T-69 to T-78: users, logs, hosts, networks, resources."""

from __future__ import annotations

import json
import re
import subprocess

import docker
import pytest

from tests.integration.conftest import Build
from tests.integration.training.lab import Lab, Probed, contents

pytestmark = pytest.mark.integration

HOSTS = ("algo-1", "algo-2")


def test_t60_another_user_can_write_neither_model_nor_failure(lab: Lab, build: Build) -> None:
    tree = lab.project / "data" / "tree"
    job = lab.run_one(
        "User", "--channel", f"training={tree}", "--hyperparam", "do=report fail", image=build("probe", "user")
    )
    seen = job.report()
    assert seen["user"] == [1000, 1000, [1000]]
    # All that is to be read can be read.
    assert seen["texts"]["data/training/a.csv"] == "1,2\n"
    folders = ("checkpoints", "input/config", "model", "output", "output/data")
    assert {name: seen["writes"][name] for name in folders} == {name: ["EACCES"] for name in folders}
    assert job.ran.code == 1
    assert job.description["FailureReason"] == "AlgorithmError: , exit code: 1"
    assert "hint: the image's USER is 1000, and /opt/ml is root's, as in the cloud" in job.ran.error


def test_t69_every_line_says_whose_it_is(two: Probed) -> None:
    lines = two.log.decode().splitlines()
    assert [line for line in lines if not re.match(r"algo-[12] \| ", line)] == []
    assert {
        (host, word) for host in HOSTS for word in ("report", "met", "outside") if len(two.said(word, host)) == 1
    } == {(host, word) for host in HOSTS for word in ("report", "met", "outside")}
    assert all(f"{line}\n" in two.ran.stderr for line in lines)


def test_t71_hosts_find_each_other_on_any_port(two: Probed) -> None:
    ports = ("1", "7777", "65535")
    assert two.said("met", "algo-1") == [{"algo-2": dict.fromkeys(ports, "algo-2")}]
    assert two.said("met", "algo-2") == [{"algo-1": dict.fromkeys(ports, "algo-1")}]
    one, other = (two.report(host) for host in HOSTS)
    for seen in (one, other):
        assert seen["addresses"] == {
            seen["hostname"]: seen["addresses"][seen["hostname"]],
            "algo-1": one["addresses"][one["hostname"]],
            "algo-2": other["addresses"][other["hostname"]],
        }
        # A host's own files tell neither its name nor those of others.
        assert not any(name.startswith("algo") for name in seen["etc-hosts"])
        assert re.fullmatch(r"ip-10-0-\d{1,3}-\d{1,3}\.ec2\.internal", seen["hostname"])
    assert len({*one["addresses"].values()}) == 2


def test_t72_one_that_fails_stops_the_others(stopped: dict[str, Probed]) -> None:
    job = stopped["Failing"]
    assert job.ran.code == 1
    assert job.ran.stderr.count("algo-2 failed (exit code 3): stopping the others, up to 120 s\n") == 1
    assert [[name for name, _ in came] for came in job.said("signals", "algo-1")] == [["SIGTERM"]]
    assert contents(job.folder / "model") == {"saved-algo-1": "saved\n"}
    description = job.description
    assert (description["TrainingJobStatus"], description["ExitCode"]) == ("Failed", 3)
    assert description["FailureReason"] == "AlgorithmError: algo-2 cannot go on, exit code: 3"
    assert job.ran.error.startswith("error: the training job failed on algo-2\n")


def test_t72_one_that_ends_well_is_waited_for_by_none(two: Probed) -> None:
    # algo-2 went on when algo-1 was gone, and left its part then.
    assert two.said("alone", "algo-2") == [["algo-1"]]
    assert contents(two.folder / "hosts" / "algo-2" / "model")["below/algo-2"] == "algo-2"
    assert two.description["TrainingJobStatus"] == "Completed"


def test_t74_an_isolated_job_reaches_its_hosts_and_nobody_else(stopped: dict[str, Probed], two: Probed) -> None:
    isolated = stopped["Failing"]
    for host, peer in (HOSTS, HOSTS[::-1]):
        assert (
            isolated.said("met", host) == two.said("met", host) == [{peer: dict.fromkeys(("1", "7777", "65535"), peer)}]
        )
    assert isolated.description["EnableNetworkIsolation"] is True
    assert isolated.config("trainingjobconfig.json", "algo-1")["EnableNetworkIsolation"] is True
    if not two.said("outside", "algo-1"):
        pytest.skip("to have somebody outside needs root")
    for host in HOSTS:
        assert two.said("outside", host) == ["ok"]
        # Engines differ in whether there is no way, or one that leads nowhere.
        assert isolated.said("outside", host)[0] in {"ENETUNREACH", "TimeoutError"}


def test_t75_a_cpu_host_has_no_device(plain: Probed) -> None:
    assert plain.report()["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_t76_shared_memory_is_docker_s_or_as_asked(plain: Probed, full: Probed) -> None:
    assert (plain.report()["shm"], full.report()["shm"]) == (64 << 20, 96 << 20)
    assert plain.report()["mounts"]["shm"] == ["tmpfs", "rw"]


def test_an_instance_type_gives_its_cpus_and_memory(
    plain: Probed, full: Probed, docker_client: docker.DockerClient
) -> None:
    info = docker_client.info()
    own, large = plain.report(), full.report()
    assert (own["cpus"], own["memory"]) == (info["NCPU"], 0)
    # ml.m5.large: 2 CPUs and 8 GiB.
    assert large["cpus"] == min(2, info["NCPU"])
    assert large["memory"] == (8 << 30 if info["MemTotal"] > 8 << 30 else 0)


def test_t78_there_is_no_terminal(plain: Probed) -> None:
    assert plain.report()["terminals"] == [False, False, False]
    assert plain.report()["stdin"] == "/dev/null"


def test_limits_are_the_engine_s_own(plain: Probed, probe: str) -> None:
    """No document tells the platform's; byoc changes none."""
    script = (
        "import json, resource as r;"
        "print(json.dumps({n: r.getrlimit(getattr(r, n)) for n in dir(r) if n[:7] == 'RLIMIT_'}))"
    )
    command = ["docker", "run", "--rm", probe, "python3", "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert plain.report()["limits"] == json.loads(ran.stdout)
