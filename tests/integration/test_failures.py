"""Training jobs that fail: the reason stands last and alone, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.integration.conftest import Build
from tests.integration.world import LABEL, Byoc, give_sign, job_of, make_project

pytestmark = pytest.mark.integration


def test_the_reason_stands_last_and_alone(byoc: Byoc, project: Path) -> None:
    ran = byoc(
        *("local-train", "--hyperparam", "act=fail", "--hyperparam", "code=3"),
        *("--hyperparam", "failure=ValueError: the données are wrong"),
        cwd=project,
    )
    job = job_of(project, ran)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.splitlines()[1:] == [
        "Traceback (most recent call last):",
        "ValueError: the data is wrong",
        "error: the training job failed",
        "its last lines:",
        "  Traceback (most recent call last):",
        "  ValueError: the data is wrong",
        "FailureReason: AlgorithmError: ValueError: the données are wrong, exit code: 3",
        "",
        f"hint: the whole log: {job.folder}/log.txt",
    ]
    description = job.description
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Failed", "Failed")
    assert description["FailureReason"] == "AlgorithmError: ValueError: the données are wrong, exit code: 3"
    assert description["ExitCode"] == 3
    assert (job.folder / "output/failure").read_text() == "ValueError: the données are wrong"
    assert not (project / ".byoc/latest").exists(), "only a completed job is the latest"


def test_a_long_reason_is_cut_at_1024_characters(byoc: Byoc, project: Path) -> None:
    words = (
        "local-train",
        "--hyperparam",
        "act=fail",
        "--hyperparam",
        "failure=ü23456789-",
        "--hyperparam",
        "times=300",
    )
    ran = byoc(*words, "--json", cwd=project)
    assert ran.code == 1
    assert ran.json()["FailureReason"] == f"AlgorithmError: {('ü23456789-' * 103)[:1024]}, exit code: 1"
    assert ran.json()["TrainingJobStatus"] == "Failed"
    assert (Path(ran.json()["Run"]) / "output/failure").read_text() == "ü23456789-" * 300


def test_without_a_failure_file_the_hint_says_how_to_write_one(byoc: Byoc, project: Path) -> None:
    ran = byoc("local-train", "--hyperparam", "act=fail", "--quiet", cwd=project)
    assert ran.code == 1
    assert ran.stderr.startswith("error: the training job failed\nits last lines:\n  Traceback"), "quiet: errors only"
    assert (
        "FailureReason: AlgorithmError: , exit code: 1\n\nhint: write the cause to /opt/ml/output/failure" in ran.error
    )


@pytest.mark.parametrize(
    ("target", "code", "last_words", "hint"),
    [
        ("no-train", 127, '"train": executable file not found in $PATH', "an executable `train` on the image's PATH"),
        ("not-executable", 127, '"train": executable file not found in $PATH', "an executable `train`"),
        ("entrypoint-not-executable", 126, "permission denied", "chmod +x"),
        ("no-interpreter", 127, "julia", "a program was not found: look at the shebang"),
        ("no-shebang", None, "exec format error", "a shebang as its first line"),
        ("windows", None, "no such file or directory", "ends with CR LF"),
        ("user", 2, "/opt/ml/model/weights: Permission denied", "the image's USER is 1000, and /opt/ml is root's"),
    ],
)
def test_an_image_that_cannot_train(
    byoc: Byoc, build: Build, tmp_path: Path, target: str, code: int | None, last_words: str, hint: str
) -> None:
    project = make_project(tmp_path / "p", build("broken", target))
    ran = byoc("local-train", cwd=project)
    description = job_of(project, ran).description
    assert (ran.code, ran.stdout) == (1, "")
    assert last_words in ran.error
    assert hint in ran.error
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"] == f"AlgorithmError: , exit code: {description['ExitCode']}"
    # What runc itself says of a program that cannot be executed differs between its versions.
    assert description["ExitCode"] == code if code else description["ExitCode"] in {1, 126, 127, 255}
    assert "Traceback" not in ran.stderr


def test_a_job_that_runs_out_of_memory(byoc: Byoc, project: Path, docker_client: docker.DockerClient) -> None:
    live = byoc.start("local-train", "--hyperparam", "act=hog", "--name", "job", cwd=project)
    live.until("training\n")
    try:
        docker_client.containers.get("byoc-job").update(mem_limit="64m", memswap_limit="64m")
    except docker.errors.APIError as error:
        live.ctrl_c()
        live.end()
        pytest.skip(f"this engine cannot limit memory: {error.explanation}")
    give_sign(docker_client, "byoc-job", "now")

    job = job_of(project, live.end())
    assert job.ran.code == 1
    reason = "AlgorithmError: OutOfMemory: Process killed by SIGKILL (signal 9), exit code: 137"
    assert f"the container ran out of memory (killed by the kernel)\nFailureReason: {reason}\n" in job.ran.error
    assert job.description["FailureReason"] == reason
    assert job.description["TrainingJobStatus"] == "Failed"


@pytest.mark.parametrize("gpus", ["all", "1"])
def test_gpus_without_a_gpu(byoc: Byoc, project: Path, gpus: str) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a GPU")
    ran = byoc("local-train", "--gpus", gpus, cwd=project)
    assert (ran.code, ran.stdout) == (3, "")
    assert ran.error.startswith("error: this engine has no GPU to give\n")
    assert "\n\nhint: install the NVIDIA Container Toolkit and restart Docker, or leave --gpus out\n" in ran.error
    assert job_of(project, ran).description["TrainingJobStatus"] == "Failed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--channel", "training=nowhere"), "nowhere"),
        (("--channel", "a/b=."), "SageMaker would refuse this\nchannel 'a/b'"),
        (("--channel", "training"), "--channel training: there is no '='"),
        (("--hyperparam", f"long={'x' * 2501}"), "hyperparameter 'long': its value has 2501 characters"),
        (("--env", "9LIVES=1"), "environment variable '9LIVES'"),
        (("--env-file", "nowhere"), "--env-file nowhere cannot be read"),
        (("--name", "two words"), "job name 'two words'"),
        (("--gpus", "many"), "--gpus many is wrong"),
        (("Capitals",), "'Capitals' is not an image name"),
    ],
)
def test_wrong_words_make_nothing(byoc: Byoc, project: Path, words: tuple[str, ...], said: str) -> None:
    ran = byoc("local-train", *words, cwd=project)
    assert (ran.code, ran.stdout) == (2, "")
    assert said in ran.error
    assert not (project / ".byoc").exists()


# -- a machine that is not as it should be ----------------------------------------------------------------------------


@pytest.fixture
def private_mounts() -> None:
    """A mount namespace of one's own: what is mounted there, the engine does not see."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root and the right to make a mount namespace")


def in_namespace(script: str) -> tuple[str, ...]:
    """Words that run what follows in a mount namespace of its own, after a script."""
    return ("unshare", "-m", "sh", "-c", f'set -e; {script}; exec "$@"', "sh")


@pytest.mark.usefixtures("private_mounts")
def test_an_engine_that_does_not_see_our_files_is_noticed(byoc: Byoc, project: Path) -> None:
    """What happens with a remote engine, or with byoc in a container: the same path is another folder there."""
    (project / "data").mkdir()
    before = in_namespace("mount -t tmpfs none data && echo only here >data/x")
    for words in (
        ("local-train", "--hyperparam", "act=look", "--channel", "training=data"),
        ("local-train", "--hyperparam", "act=look", "--channel", "training=data/x"),
        ("serve", "--detach", "--model", "data"),
    ):
        ran = byoc(*words, cwd=project, before=before)
        assert (ran.code, ran.stdout) == (3, ""), ran.stderr
        assert ran.error.startswith("error: the engine does not see this machine's files\n")
        assert f"{project}/data" in ran.error
        assert "hint: run byoc on the machine that the engine runs on" in ran.error


@pytest.mark.usefixtures("private_mounts")
def test_a_full_disk_keeps_the_container_until_clean(
    byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    before = in_namespace("mkdir -p .byoc && mount -t tmpfs -o size=90m none .byoc")
    ran = byoc(
        *("local-train", "--hyperparam", "act=fill", "--hyperparam", "megabytes=40", "--name", "large"),
        cwd=project,
        before=before,
    )
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error.startswith("error: the disk is too full to collect what the job left\n")
    assert "the next file needs 42 MB" in ran.error
    assert "docker cp byoc-large:/opt/ml/model" in ran.error

    kept = docker_client.containers.get("byoc-large")
    chunks, _ = kept.get_archive("/opt/ml/model/weights")
    assert sum(len(chunk) for chunk in chunks) > 40 << 20, "nothing of the model is lost"
    rows = byoc("ps", "--json", cwd=project).json()
    assert [(row["name"], row["state"]) for row in rows] == [("large", "exited")]
    cleaned = byoc("clean", "--yes", "--json", cwd=project)
    assert cleaned.code == 0
    assert cleaned.json()["containers"] == ["byoc-large"]
    assert docker_client.containers.list(all=True, filters={"label": f"{LABEL}={project}"}) == []


def test_without_an_engine(byoc: Byoc, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM scratch\n")
    for command in ("build", "local-train", "serve", "ps", "clean"):
        ran = byoc(command, cwd=project, env={"DOCKER_HOST": f"unix://{project}/nonexistent"})
        assert (ran.code, ran.stdout) == (3, ""), command
        assert ran.error.startswith("error: the Docker Engine is not running\n")
        assert "byoc doctor" in ran.error


def test_a_home_that_cannot_be_written(byoc: Byoc, project: Path, unprivileged: tuple[str, ...]) -> None:
    project.chmod(0o555)
    ran = byoc("local-train", cwd=project, before=unprivileged)
    project.chmod(0o755)
    assert (ran.code, ran.stdout) == (1, "")
    assert f"error: {project}/.byoc cannot be written\nPermission denied\n" in ran.stderr
