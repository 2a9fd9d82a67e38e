"""`byoc local-train --aws-credentials` on the real engine: who gets them, where they are not, what is left (T-28)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.world import LABEL, STAND_IN, Byoc, Live, job_of, make_project

pytestmark = pytest.mark.integration

KEY, SECRET, TOKEN = "AKIAEXAMPLE1ABCD", "SECRET/MARKER+of+the+test", "SESSION-TOKEN-MARKER"
AWS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
SAID = "the job may use your AWS credentials: those of the environment, access key …ABCD\n"
# What an AWS SDK does, with nothing but the standard library; then what the hyperparameter `then` says.
PROGRAM = """
import hashlib, json, os, signal, socket, sys, time, urllib.error, urllib.request
url = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
def fetch(**headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return json.load(answer)
with open("/opt/ml/input/config/resourceconfig.json") as file:
    host = json.load(file)["current_host"]
if url:
    found = fetch(Authorization=os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
    try:
        fetch(Authorization="somebody else's")
    except urllib.error.HTTPError as error:
        found["refused"] = error.code
    for secret in ("SecretAccessKey", "Token"):
        found[secret] = hashlib.sha256(found[secret].encode()).hexdigest()
    found["at"] = url
    found["known at"] = socket.gethostbyname(host)  # of oneself: another host may have ended already
    with open("/proc/net/route") as routes:
        found["way out"] = [line.split()[0] for line in routes if line.split()[1] == "00000000"]
    print("found", json.dumps(found), flush=True)
print("aws", sorted(name for name in os.environ if "AWS" in name or "ECS" in name), flush=True)
with open("/opt/ml/input/config/hyperparameters.json") as file:
    then = json.load(file).get("then", "0")
if then == "wait-once":
    then = "0" if os.listdir("/opt/ml/checkpoints") else "wait"
    open("/opt/ml/checkpoints/begun", "w").close()
if then == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("training", flush=True)
    while True:
        time.sleep(0.05)
sys.exit(int(then))
"""
WORDS = ("local-train", STAND_IN, "--channel", "code=code", "--entrypoint", "python3 /opt/ml/input/data/code/fetch.py")


@pytest.fixture(autouse=True, scope="module")
def both_places() -> Iterator[None]:
    """The two addresses are this session's: others on this machine wait."""
    with (Path(tempfile.gettempdir()) / "byoc-tests-of-credentials.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = make_project(tmp_path / "project", STAND_IN)
    (folder / "code").mkdir()
    (folder / "code" / "fetch.py").write_text(PROGRAM)
    return folder


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def everything_below(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".gz")


def test_every_host_is_given_them_on_request(byoc: Byoc, project: Path) -> None:
    ran = byoc(*WORDS, "--aws-credentials", "--instance-count", "2", cwd=project, env=AWS)
    assert ran.code == 0, ran.stderr
    assert ran.stderr.count(SAID) == 1
    job = job_of(project, ran)
    said = re.findall(r"^(algo-\d) \| found (.*)$", job.log.decode(), re.MULTILINE)
    found = {host: json.loads(text) for host, text in said}
    assert sorted(found) == ["algo-1", "algo-2"]
    for seen in found.values():
        assert (seen["AccessKeyId"], seen["SecretAccessKey"], seen["Token"]) == (KEY, digest(SECRET), digest(TOKEN))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", seen["Expiration"])
        assert seen["refused"] == 403
        assert seen["at"].startswith("http://169.254.170.2:")
        assert seen["way out"] == ["eth0"], "the job's own network is the way out"
        assert not seen["known at"].startswith("169.254."), "hosts know each other by the job's own network"
    # No variable holds a secret; AWS_DEFAULT_REGION is not among them (T-28).
    variables = ["AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_REGION"]
    assert job.log.decode().count(f"aws {variables}") == 2
    written = everything_below(project / ".byoc") + ran.stderr.encode()
    assert SECRET.encode() not in written
    assert TOKEN.encode() not in written
    assert b"AWS_CONTAINER_AUTHORIZATION_TOKEN" not in everything_below(job.folder / "input")
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" not in json.dumps(job.description)


def test_without_being_asked_nothing_is_given(byoc: Byoc, project: Path) -> None:
    ran = byoc(*WORDS, cwd=project, env=AWS)
    assert ran.code == 0, ran.stderr
    assert job_of(project, ran).log.decode() == "aws ['AWS_REGION']\n"
    assert "AWS credentials" not in ran.stderr


def test_a_job_that_fails_leaves_no_network(byoc: Byoc, project: Path, docker_client: docker.DockerClient) -> None:
    ran = byoc(*WORDS, "--aws-credentials", "-p", "then=3", cwd=project, env=AWS)
    assert ran.code == 1
    assert "exit code: 3" in ran.error
    assert docker_client.networks.list(filters={"label": f"{LABEL}={project}"}) == []


def _training(byoc: Byoc, project: Path, name: str) -> Live:
    live = byoc.start(*WORDS, "--aws-credentials", "-p", "then=wait", "--name", name, cwd=project, env=AWS)
    live.until("training\n")
    return live


def test_two_jobs_at_once_a_third_and_how_they_end(
    byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    first = _training(byoc, project, "one")
    second = _training(byoc, project, "two")
    assert '"at": "http://169.254.170.2:' in first.stderr
    assert '"at": "http://169.254.170.23:' in second.stderr
    assert "credentials are at 169.254.170.23: an AWS SDK from before the end of 2023 refuses it\n" in second.stderr
    third = byoc(*WORDS, "--aws-credentials", "--name", "three", cwd=project, env=AWS)
    assert third.code == 3
    assert third.error.startswith("error: there is no place for a credentials endpoint\n")

    # Nobody who looks at the containers, the networks or the processes finds a secret.
    api = docker_client.api
    looked = [api.inspect_container(f"byoc-{name}") for name in ("one", "two")]
    looked += [api.inspect_network(f"byoc-{name}-credentials") for name in ("one", "two")]
    shown = json.dumps(looked, default=str) + Path(f"/proc/{first.process.pid}/cmdline").read_text()
    assert "byoc-one" in shown
    assert not any(secret in shown for secret in (KEY, SECRET, TOKEN))

    first.ctrl_c()
    assert first.end().code == 130
    second.process.kill()
    second.process.wait()
    cleaned = byoc("clean", "--yes", "--json", cwd=project).json()
    assert sorted(cleaned["networks"]) == ["byoc-two", "byoc-two-credentials"]
    ran = byoc(*WORDS, "--aws-credentials", cwd=project, env=AWS)
    assert '"at": "http://169.254.170.2:' in ran.stderr, "both places are free again"


def test_an_interrupted_job_has_them_again(byoc: Byoc, project: Path) -> None:
    words = ("--aws-credentials", "--interrupt-after", "6s", "-p", "then=wait-once")
    ran = byoc(*WORDS, *words, cwd=project, env=AWS)
    assert ran.code == 0, ran.stderr
    before, after = ran.stderr.split("starting again, with the checkpoints\n")
    assert f'"AccessKeyId": "{KEY}"' in before
    assert f'"AccessKeyId": "{KEY}"' in after
