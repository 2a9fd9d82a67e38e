"""`byoc local-train` on the real engine: what a training container finds, and what comes back."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.conftest import Build
from tests.integration.world import Byoc, Job, give_sign, job_of, make_project, nothing_stays, wait_for

pytestmark = pytest.mark.integration

PROJECT_FILE = """
[train]
instance-type = "ml.c5.large"
[train.environment]
FROM_PROJECT = "1"
OVERRIDDEN = "by the project"
[train.hyperparameters]
act = "look"
steps = 100
rate = 0.1
flag = true
text = 'say "grüezi"'
[train.channels]
training = { source = "data/my folder, with = signs", content-type = "text/csv" }
single = "data/single.csv"
[train.metrics]
loss = 'loss=([0-9.]+)'
accuracy = 'accuracy=([0-9.]+)'
silent = 'never=([0-9.]+)'
"""
SECRETS = ("PROJECT-KEY-MARKER", "TOKEN-MARKER", "FILE-MARKER", "HYPER-MARKER")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def looked(
    actor: str,
    session_byoc: Byoc,
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    docker_client: docker.DockerClient,
) -> Job:
    """One job with everything, that many tests look at."""
    project = make_project(tmp_path_factory.mktemp("looked"), actor, PROJECT_FILE)
    channel = project / "data" / "my folder, with = signs"
    (channel / "below").mkdir(parents=True)
    (channel / "a,b.csv").write_text("1,2\n")
    (channel / "below" / "ünicode 1.txt").write_text("deep\n")
    (project / "data" / "single.csv").write_text("one file\n")
    (project / "more").mkdir()
    (project / "more" / "x").write_text("from the command line\n")
    (project / "variables").write_text("# a comment\n\nOVERRIDDEN=by the file\nMY_PASSWORD=FILE-MARKER\nINHERITED\n")
    (project / ".gitignore").write_text("data\nmore\nvariables\n")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "first")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and ".git" not in path.parts}
    with nothing_stays(docker_client, root):
        ran = session_byoc(
            *("local-train", "--name", "My-Job-1", "--hyperparam", "steps=7", "--hyperparam", "api_key=HYPER-MARKER"),
            *("--channel", "given=more", "--env-file", "variables", "--env", "WANDB_API_KEY", "--env", "NOT_SET_HERE"),
            *(
                "--env",
                "OVERRIDDEN=by the option",
                "--env",
                "URL=https://me:PROJECT-KEY-MARKER@host/",
                "--env",
                "PLAIN=a=b c",
            ),
            cwd=project,
            env={"WANDB_API_KEY": "TOKEN-MARKER", "INHERITED": "from the shell", "AWS_SECRET_ACCESS_KEY": "x" * 40},
        )
    assert ran.code == 0, ran.stderr
    assert ran.stdout == ".byoc/runs/My-Job-1\n"
    after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert {path for path in after if path not in before and ".byoc" not in path.parts} == set()
    assert {path: after.get(path) for path in before} == before, "nothing of the user's is changed"
    return job_of(project, ran)


@pytest.fixture(scope="module")
def seen(looked: Job) -> dict[str, Any]:
    """What the container saw."""
    return dict(json.loads((looked.folder / "output/data/seen.json").read_text()))


# -- what the container finds -----------------------------------------------------------------------------------------


def test_it_is_started_as_the_platform_starts_it(seen: dict[str, Any]) -> None:
    # `IMAGE train`: the program by its bare name, as PID 1, root, in the image's folder (T-01).
    assert (seen["arguments"], seen["pid"], seen["uid"], seen["folder"]) == ([], 1, 0, "/")


def test_the_tree_is_root_s_and_hides_what_the_image_has(seen: dict[str, Any]) -> None:
    folders = {path for path, (mode, _, _) in seen["tree"].items() if stat.S_ISDIR(int(mode, 8))}
    assert folders == {
        *("/opt/ml/input", "/opt/ml/input/config", "/opt/ml/input/data", "/opt/ml/input/data/training"),
        *("/opt/ml/input/data/training/below", "/opt/ml/input/data/single", "/opt/ml/input/data/given"),
        *("/opt/ml/model", "/opt/ml/output", "/opt/ml/output/data", "/opt/ml/checkpoints"),
    }
    own = {path: rest for path, rest in seen["tree"].items() if not re.match(r"/opt/ml/input/data/\w+/", path)}
    assert "/opt/ml/model/from-the-image" not in own
    assert "/opt/ml/input/config/resourceConfig.json" not in own
    for path, (mode, uid, gid) in own.items():
        assert (uid, gid) == (0, 0), path
        assert int(mode, 8) & 0o777 == (0o755 if path in folders else 0o644), path


def test_hyperparameters_are_strings(seen: dict[str, Any]) -> None:
    assert json.loads(seen["config"]["hyperparameters.json"]) == {
        "act": "look",
        "steps": "7",
        "rate": "0.1",
        "flag": "true",
        "text": 'say "grüezi"',
        "api_key": "HYPER-MARKER",
    }


def test_the_other_configuration_files(seen: dict[str, Any]) -> None:
    assert set(seen["config"]) == {
        *("hyperparameters.json", "resourceconfig.json", "inputdataconfig.json", "init-config.json"),
        *("trainingjobconfig.json", "upstreamoutputdataconfig.json", "metric-definition-regex.json"),
    }
    assert json.loads(seen["config"]["resourceconfig.json"]) == {
        "current_host": "algo-1",
        "current_instance_type": "ml.c5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.c5.large", "hosts": ["algo-1"]}
        ],
        "network_interface_name": "eth0",
        "topology": None,
    }
    plain = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    assert json.loads(seen["config"]["inputdataconfig.json"]) == {
        "training": {"ContentType": "text/csv"} | plain,
        "single": plain,
        "given": plain,
    }


def test_the_host_is_known_as_algo_1_but_is_not_called_so(seen: dict[str, Any]) -> None:
    assert seen["algo-1"] == seen["own-address"]
    assert seen["algo-1"] != "127.0.0.1"
    assert re.fullmatch(r"ip-10-0-\d+-\d+\.ec2\.internal", seen["hostname"])
    assert "eth0" in seen["interfaces"]


def test_the_environment(seen: dict[str, Any]) -> None:
    found = seen["environment"]
    wanted = {
        "TRAINING_JOB_NAME": "My-Job-1",
        "TRAINING_JOB_ARN": "arn:aws:sagemaker:us-east-1:000000000000:training-job/my-job-1",
        "AWS_REGION": "us-east-1",
        "DMLC_INTERFACE": "eth0",
        "NVIDIA_VISIBLE_DEVICES": "void",
        "HOME": "/root",
        "FROM_PROJECT": "1",
        "OVERRIDDEN": "by the option",
        "MY_PASSWORD": "FILE-MARKER",
        "WANDB_API_KEY": "TOKEN-MARKER",
        "INHERITED": "from the shell",
        "PLAIN": "a=b c",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert "NOT_SET_HERE" not in found
    # Neither the developer's credentials (T-28) nor the toolkit's variables (T-29) come from the platform.
    assert [name for name in found if name.startswith(("AWS_", "SM_")) and name != "AWS_REGION"] == []


def test_channels_are_folders_and_files_of_any_name(seen: dict[str, Any]) -> None:
    assert seen["data"] == {
        "training/a,b.csv": "1,2\n",
        "training/below/ünicode 1.txt": "deep\n",
        "single/single.csv": "one file\n",
        "given/x": "from the command line\n",
    }


def test_t58_a_channel_can_be_written_to_and_the_source_never_changes(seen: dict[str, Any], looked: Job) -> None:
    assert seen["read-only"] == []
    project = looked.folder.parents[2]
    assert [path for path in project.rglob("written") if ".byoc" not in path.parts] == []


# -- what comes back --------------------------------------------------------------------------------------------------


def test_model_and_output_are_the_user_s_files(looked: Job) -> None:
    model = looked.folder / "model"
    assert sorted(str(path.relative_to(model)) for path in model.rglob("*")) == [
        *("1", "1/saved_model.pb", "1/variables", "1/variables/weights", "empty", "private"),
    ]
    assert (model / "1/saved_model.pb").read_bytes() == bytes(range(256))
    assert (looked.folder / "checkpoints/step-3").read_text() == "3\n"
    assert (looked.folder / "output/beside").is_file()
    for path in (looked.folder.parents[1], *looked.folder.parents[1].rglob("*")):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid()), path
        assert path.is_symlink() or status.st_mode & 0o400, f"its owner cannot read {path}"
    assert not (looked.folder / "input/data").exists(), "channel data is never copied"


def test_the_archives_have_the_cloud_s_roots(looked: Job) -> None:
    with tarfile.open(looked.folder / "model.tar.gz", "r:gz") as tar:
        assert tar.getnames() == ["1", "1/saved_model.pb", "1/variables", "1/variables/weights", "empty", "private"]
        assert tar.extractfile("1/variables/weights").read() == b"w" * 100_000  # type: ignore[union-attr]
        assert (tar.getmember("1").uid, tar.getmember("private").uid, tar.getmember("private").mode) == (0, 4242, 0)
    with tarfile.open(looked.folder / "output.tar.gz", "r:gz") as tar:
        assert tar.getnames() == ["reports", "reports/confusion.csv", "seen.json"]


def test_the_log_and_the_metrics(looked: Job) -> None:
    # The engine gives the two streams in either order: which metric came last is not said.
    lines = [f"step {step}: loss={loss} accuracy={1 - loss}" for step, loss in ((1, 0.9), (2, 0.5), (3, 0.25))]
    assert sorted(looked.log.decode().splitlines()) == lines
    assert all(f"{line}\n" in looked.ran.stderr for line in lines)
    table = [line.split(",") for line in (looked.folder / "metrics.csv").read_text().splitlines()]
    assert table[0] == ["metric", "index", "time", "value"]
    assert sorted((name, float(value)) for name, _, _, value in table[1:] if name == "loss") == [
        *(("loss", 0.25), ("loss", 0.5), ("loss", 0.9)),
    ]
    assert (looked.folder / "metrics.png").read_bytes().startswith(b"\x89PNG")
    assert f"curves: {looked.folder}/metrics.png\n" in looked.ran.stderr
    final = {each["MetricName"]: each["Value"] for each in looked.description["FinalMetricDataList"]}
    assert set(final) == {"loss", "accuracy"}
    assert "warning: metric 'silent' never matched the log" in looked.ran.stderr
    assert "NOT_SET_HERE: it is not set here" in looked.ran.stderr


def test_job_json_speaks_the_cloud_s_words(looked: Job, actor: str, docker_client: docker.DockerClient) -> None:
    job = looked.description
    assert (job["TrainingJobName"], job["TrainingJobStatus"], job["SecondaryStatus"]) == (
        "My-Job-1",
        "Completed",
        "Completed",
    )
    words = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert words == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert "FailureReason" not in job
    assert job["ExitCode"] == 0
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == (looked.folder / "model.tar.gz").as_uri()
    assert job["TrainingStartTime"] < job["TrainingEndTime"] <= job["LastModifiedTime"]
    assert job["TrainingTimeInSeconds"] > 0
    assert job["AlgorithmSpecification"]["TrainingImage"] == actor
    assert job["ImageId"] == docker_client.images.get(actor).id
    project = looked.folder.parents[2]
    assert job["GitCommit"] == git(project, "rev-parse", "HEAD")
    assert job["HyperParameters"]["steps"] == "7"
    assert job["Run"] == str(looked.folder)
    assert (project / ".byoc/.gitignore").read_text() == "*\n"
    assert git(project, "status", "--porcelain") == ""
    assert (project / ".byoc/latest").resolve() == looked.folder


def test_no_secret_is_on_disk(looked: Job) -> None:
    job = looked.description
    assert {name for name, value in job["Environment"].items() if value == "<redacted>"} == {
        *("WANDB_API_KEY", "MY_PASSWORD", "URL"),
    }
    assert job["HyperParameters"]["api_key"] == "<redacted>"
    home = looked.folder.parents[1]
    # What the container itself wrote into its output is its own affair.
    files = [path for path in home.rglob("*") if path.is_file() and path.name not in {"seen.json", "output.tar.gz"}]
    assert len(files) > 10
    for path in files:
        assert not any(secret.encode() in path.read_bytes() for secret in (*SECRETS, "x" * 40)), path
    assert not any(secret in looked.ran.stderr for secret in (*SECRETS, "x" * 40))


# -- what a container prints ------------------------------------------------------------------------------------------


def test_what_is_hard_to_pass_on_arrives_unchanged(
    byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    live = byoc.start("local-train", "--hyperparam", "act=speak", "--name", "speaking", cwd=project)
    live.until("progress  10%")  # live: each piece of a progress bar is seen as it comes
    assert "progress  50%" not in live.stderr
    give_sign(docker_client, "byoc-speaking", "go-on")
    ran = live.end()

    assert ran.code == 0, ran.stderr
    # The engine may give the other stream's line earlier or later, but never in the middle of one.
    before, interruption, after = job_of(project, ran).log.partition(b"an interruption\n")
    assert interruption
    assert before.endswith((b"\n", b"\r"))
    assert before + after == (
        "grüße\n".encode() + b"a bad byte: \xff\xfe\n\rprogress  10%\rprogress  50%\rprogress 100%\nwindows line\r\n"
        b"" + b"x" * 100_000 + b"\n\n\x1b[31mred\x1b[0m\nhalf a line\nthe last line has no newline"
    )
    assert before + interruption + after + b"\n" in live.raw_stderr, "what follows begins on a line of its own"
    assert ran.seconds < 100, "a long line is not looked at again with each piece"


def test_a_hundred_thousand_lines_of_two_streams(byoc: Byoc, project: Path) -> None:
    ran = byoc("local-train", "--hyperparam", "act=flood", cwd=project)
    assert ran.code == 0, ran.stderr[-2000:]
    for text in (ran.stderr, job_of(project, ran).log.decode()):
        for name in ("out", "err"):
            lines = [line for line in text.split("\n") if line.startswith(f"{name} ")]
            assert lines == [f"{name} {number:06d} {name[0] * (number % 70)}" for number in range(50_000)]
    assert len(job_of(project, ran).log.splitlines()) == 100_000


# -- models of any kind -----------------------------------------------------------------------------------------------


def test_links_and_other_things_in_the_model(byoc: Byoc, project: Path) -> None:
    ran = byoc("local-train", "--hyperparam", "act=link", cwd=project)
    assert ran.code == 0, ran.stderr
    model = job_of(project, ran).folder / "model"
    assert sorted(path.name for path in model.iterdir()) == ["hard", "soft", "weights"]
    assert (model / "hard").read_text() == (model / "soft").read_text() == "w\n"
    assert "warning: model/soft is a symbolic link: a model with one cannot be deployed (T-50)" in ran.stderr
    assert "warning: model/outside links to /etc/passwd, outside of its folder" in ran.stderr
    assert "warning: model/pipe is neither a file nor a folder nor a link: left out" in ran.stderr
    with tarfile.open(model.parent / "model.tar.gz", "r:gz") as tar:
        assert {member.name for member in tar if member.isfile() or member.islnk()} == {"weights", "hard"}


def test_a_job_that_leaves_nothing(byoc: Byoc, project: Path) -> None:
    ran = byoc("local-train", "--json", cwd=project)
    assert ran.code == 0
    assert "warning: the job completed, but /opt/ml/model is empty" in ran.stderr
    job = ran.json()
    assert (job["TrainingJobStatus"], job["HyperParameters"], job["InputDataConfig"]) == ("Completed", {}, [])
    assert re.fullmatch(r"byoc-actor-\d{4}(-\d\d){5}-\d{3}", job["TrainingJobName"])
    assert job == json.loads((Path(job["Run"]) / "job.json").read_text())
    assert job["GitCommit"] == ""
    with tarfile.open(Path(job["Run"]) / "model.tar.gz", "r:gz") as tar:
        assert tar.getnames() == []


# -- which image ------------------------------------------------------------------------------------------------------


def test_any_image_by_tag_or_id(
    byoc: Byoc, project: Path, actor: str, build: Build, docker_client: docker.DockerClient
) -> None:
    image = str(docker_client.images.get(actor).id)
    other = build("broken", "shell-form")
    for given in (image, image.removeprefix("sha256:")[:12], other):
        ran = byoc("local-train", given, "--json", cwd=project)
        assert ran.code == 0, ran.stderr
        assert ran.json()["ImageId"] == docker_client.images.get(given).id


def test_an_image_that_is_not_there(byoc: Byoc, tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "nobody-built-this")
    ran = byoc("local-train", cwd=project)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.error == "error: there is no image 'nobody-built-this:latest' here\n\nhint: byoc build\n"
    assert not (project / ".byoc").exists()


def test_a_stale_image_is_a_warning_and_build_builds_first(byoc: Byoc, tmp_path: Path, tag: str, actor: str) -> None:
    project = make_project(tmp_path / "p", f"byoc-stale:{tag}")
    (project / "Dockerfile").write_text(f"FROM {actor}\nCOPY note /note\n")
    (project / "note").write_text("first\n")
    built = byoc("local-train", "--build", cwd=project)
    assert built.code == 0, built.stderr
    assert f"building byoc-stale:{tag} with" in built.stderr

    fresh = byoc("local-train", cwd=project)
    assert "warning: the image is older" not in fresh.stderr
    (project / "note").write_text("first\n")
    # A build of which every step was cached gives an image that was made long ago.
    assert byoc("build", cwd=project).code == 0
    assert "warning: the image is older" not in byoc("local-train", cwd=project).stderr
    (project / "note").write_text("second\n")
    stale = byoc("local-train", cwd=project)
    assert stale.code == 0
    assert f"warning: the image is older than its source in {project}\nhint: byoc build, or --build\n" in stale.stderr


# -- several at once --------------------------------------------------------------------------------------------------


def test_two_jobs_of_one_project_at_the_same_time(
    byoc: Byoc, project: Path, docker_client: docker.DockerClient
) -> None:
    words = ("local-train", "--hyperparam", "act=meet", "--name")
    first, second = (byoc.start(*words, name, cwd=project) for name in ("first", "second"))
    for each in (first, second):
        each.until("here\n")
    rows = json.loads(byoc("ps", "--json", cwd=project).stdout)
    assert {(row["name"], row["kind"], row["state"]) for row in rows} == {
        ("first", "train", "running"),
        ("second", "train", "running"),
    }
    assert {network.name for network in docker_client.networks.list(["byoc-first", "byoc-second"])} == {
        *("byoc-first", "byoc-second"),
    }
    taken = byoc(*words, "first", cwd=project)
    assert taken.code == 2
    assert f"there is a job 'first' already\nits run is in {project}/.byoc/runs/first\n" in taken.error
    nothing_removed = byoc("clean", "--yes", "--keep", "0", cwd=project)
    assert nothing_removed.code == 0
    for name in ("first", "second"):
        give_sign(docker_client, f"byoc-{name}", "gone")

    for each, name in ((first, "first"), (second, "second")):
        ran = each.end()
        assert (ran.code, ran.stdout) == (0, f".byoc/runs/{name}\n"), ran.stderr
        assert (project / ran.stdout.strip() / "model/who").read_text() == name
    wait_for(lambda: (project / ".byoc/latest").resolve().name in {"first", "second"})


def test_the_volumes_that_an_image_declares_go_too(
    byoc: Byoc, build: Build, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    """VOLUME makes the engine add volumes that carry no label: they go with the containers, or nobody finds them."""

    def nameless() -> set[str]:
        return {volume.name for volume in docker_client.volumes.list() if len(volume.name) == 64}

    project = make_project(tmp_path / "p", build("broken", "volume"), '[train.channels]\ntraining = "data"\n')
    (project / "data").mkdir()
    (project / "data" / "rows.csv").write_text("1,2\n")
    before = nameless()
    ran = byoc("local-train", cwd=project)
    assert ran.code == 0, ran.stderr
    assert byoc("serve", "--model", str(job_of(project, ran).folder / "model.tar.gz"), cwd=project).code == 1, (
        "no serve"
    )
    wait_for(lambda: nameless() <= before, 60, lambda: f"left behind: {nameless() - before}")
