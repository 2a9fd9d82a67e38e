"""Every command through main(): exit codes, what is on which stream, the keys of --json."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli.app import main
from byoc_cli.commands.options import Doors
from byoc_cli.endpoint import Client, url
from byoc_cli.engine.types import JOB_LABEL, PROJECT_LABEL, ContainerSpec
from byoc_cli.errors import ByocError, Interrupted, MachineError, UsageError
from tests.commands import programs
from tests.commands.conftest import Byoc
from tests.fakes import Box, FakeEngine, doors
from tests.ports import free_port

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def image(engine: FakeEngine) -> FakeEngine:
    """The project's image, with good programs."""
    engine.add_image("my-model:latest", {"train": programs.train, "serve": programs.serve})
    return engine


@pytest.fixture
def port() -> int:
    return free_port()


# -- main --------------------------------------------------------------------------------------------------------------


def fails_with(error: BaseException) -> Doors:
    def connect() -> None:
        raise error

    return Doors(connect=connect)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ByocError("x"), 1),
        (UsageError("x"), 2),
        (MachineError("x"), 3),
        (Interrupted(signal.SIGINT), 130),
        (Interrupted(signal.SIGTERM), 143),
        (Interrupted(signal.SIGHUP), 129),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert main(["ps"], fails_with(error)) == code


def test_an_error_says_what_why_and_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    main(["ps", "-q"], fails_with(MachineError("no engine\nthe socket is not there", hint="start it")))
    assert capfd.readouterr() == ("", "error: no engine\nthe socket is not there\n\nhint: start it\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ByocError("x", result={"Status": "Failed"}), 1), (Interrupted(15, result={"Status": "Failed"}), 143)],
)
def test_json_is_printed_for_what_failed_too(
    capfd: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    assert main(["ps", "--json"], fails_with(error)) == code
    assert json.loads(capfd.readouterr().out) == {"Status": "Failed"}
    main(["ps"], fails_with(error))
    assert capfd.readouterr().out == ""


def test_a_bug_is_a_traceback_and_not_an_error_of_the_user() -> None:
    with pytest.raises(ZeroDivisionError):
        main(["ps"], fails_with(ZeroDivisionError()))


def test_a_sigterm_while_a_command_runs(image: FakeEngine) -> None:
    def slow() -> FakeEngine:
        os.kill(os.getpid(), signal.SIGTERM)
        return image

    assert main(["ps"], Doors(connect=slow)) == 143  # type: ignore[arg-type]


def test_a_reader_that_has_enough_ends_the_command_quietly(project: Path) -> None:
    folder = project / ".byoc" / "runs" / "job-1"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_bytes(b"line\n" * 200_000)
    code = (
        "import sys; from pathlib import Path; from byoc_cli.app import main; from tests.fakes import *\n"
        "sys.exit(main(['logs'], doors(FakeEngine(Path('engine')))))\n"
    )
    script = f'{sys.executable} -c "$CODE" | head -n 1; echo ${{PIPESTATUS[0]}}'
    environment = {**os.environ, "CODE": code, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("line\n141\n", "")


# -- build -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def buildx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """A docker client that says something and ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(
        f'#!/bin/sh\nif [ "$2" = version ]; then echo v0.13.1; exit; fi\ncat {folder}/says\nexit $(cat {folder}/code)\n'
    )
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def says(text: str, code: int) -> None:
        (folder / "says").write_text(text)
        (folder / "code").write_text(str(code))

    return says


STEP = {"digest": "a", "name": "[2/2] RUN make", "started": "2026-11-23T19:13:23Z"}
DONE = (
    json.dumps({"vertexes": [STEP]}) + "\n" + json.dumps({"vertexes": [STEP | {"completed": "2026-11-23T19:13:24Z"}]})
)


def test_build_prints_the_reference_and_nothing_else(
    byoc: Byoc, image: FakeEngine, buildx: Callable[[str, int], None]
) -> None:
    buildx(DONE, 0)
    ran = byoc("build")
    assert (ran.code, ran.stdout) == (0, "my-model:latest\n")
    assert "building my-model:latest with BuildKit (docker buildx 0.13.1" in ran.stderr
    assert "[2/2] RUN make" in ran.stderr


def test_build_json(byoc: Byoc, image: FakeEngine, buildx: Callable[[str, int], None]) -> None:
    buildx(DONE, 0)
    data = byoc("build", "--json", "-q").data
    assert (data["image"], data["platform"], data["size"]) == ("my-model:latest", "linux/amd64", 123_000_000)
    assert set(data) >= {"image", "id", "platform", "size", "seconds"}


def test_a_build_that_fails(byoc: Byoc, image: FakeEngine, buildx: Callable[[str, int], None]) -> None:
    error = {"completed": "2026-11-23T19:13:24Z", "error": "did not complete successfully: exit code: 2"}
    buildx(json.dumps({"vertexes": [STEP]}) + "\n" + json.dumps({"vertexes": [STEP | error]}), 1)
    ran = byoc("build", "-q")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: the build failed at [2/2] RUN make\nexit code 2\n\nhint: full output: /")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "nowhere"], "there is no folder 'nowhere'"),
        (["build", "--tag", "No Name"], "'No Name' is not an image name"),
        (["build", "--build-arg", "A"], "--build-arg A: there is no '='"),
        (["build", "--secret", "id=x"], "--secret id=x: it needs an id and a file"),
        (["build", "--secret", "id=x,src=nothing"], "--secret id=x,src=nothing: there is no such file or folder"),
        (["build", "--secret", "id=x,src=."], "--secret id=x,src=. cannot be read\nit is not a file: /"),
        (["build", "--target", "nosuch"], "there is no stage 'nosuch' in the Dockerfile"),
        (["build", "--platform", "windows/amd64"], "--platform windows/amd64: that is no platform of SageMaker's"),
    ],
)
def test_a_build_that_is_asked_for_wrongly(byoc: Byoc, words: list[str], message: str) -> None:
    ran = byoc(*words)
    assert (ran.code, ran.stdout) == (2, "")
    assert message in ran.stderr


def test_a_build_without_a_dockerfile(byoc: Byoc, project: Path) -> None:
    (project / "Dockerfile").unlink()
    ran = byoc("build")
    assert ran.code == 2
    assert f"there is no Dockerfile in {project}" in ran.stderr


# -- local-train -------------------------------------------------------------------------------------------------------


def test_local_train_prints_the_run_and_the_container_speaks_on_stderr(byoc: Byoc, image: FakeEngine) -> None:
    ran = byoc("local-train", "--hyperparam", "steps=3", "-p", "name=a=b", "--name", "job-1")
    assert (ran.code, ran.stdout) == (0, ".byoc/runs/job-1\n")
    assert "loss=2.0\nloss=1.0\n" in ran.stderr
    assert json.loads(Path(".byoc/latest/model/config.json").read_text()) == {"steps": "3", "name": "a=b"}


def test_local_train_json(byoc: Byoc, image: FakeEngine) -> None:
    data = byoc("local-train", "--json", "-q", "--name", "job-1").data
    documented = ["TrainingJobName", "TrainingJobStatus", "SecondaryStatusTransitions", "FinalMetricDataList"]
    documented += ["ModelArtifacts", "TrainingTimeInSeconds", "Run", "ExitCode", "ImageId", "ImageDigest", "GitCommit"]
    assert set(documented) <= set(data)


def test_a_job_that_fails_and_its_json(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": programs.fail})
    ran = byoc("local-train", "--json", "--name", "job-1")
    assert ran.code == 1
    assert ran.data["FailureReason"] == "AlgorithmError: no data, exit code: 3"
    lines = ran.stderr.splitlines()
    assert "Traceback" in lines, "the container's open line is ended before we speak"
    assert "error: the training job failed" in lines
    assert lines[lines.index("error: the training job failed") + 3 :] == [
        "FailureReason: AlgorithmError: no data, exit code: 3",
        "",
        f"hint: the whole log: {Path('.byoc/runs/job-1/log.txt').resolve()}",
    ]


def test_options_win_over_the_project_s_file(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "byoc.toml").write_text(
        'image = "my-model"\n[train.hyperparameters]\na = 1\nb = 2\n[train.environment]\nE = "file"\nF = "file"\n'
    )
    byoc("local-train", "-p", "b=3", "--env", "E=option", "--name", "j")
    assert json.loads((project / ".byoc/runs/j/job.json").read_text())["HyperParameters"] == {"a": "1", "b": "3"}
    assert {key: image.specs[0].environment[key] for key in "EF"} == {"E": "option", "F": "file"}


def test_env_files_and_inherited_variables(
    byoc: Byoc, image: FakeEngine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHERITED", "here")
    (project / "env").write_text("\ufeff# comment\nA=1\nB=x=y\n\nINHERITED\n")
    ran = byoc("local-train", "--env-file", "env", "--env", "A=2", "-e", "NOT_SET", "--name", "j")
    environment = image.specs[0].environment
    assert (environment["A"], environment["B"], environment["INHERITED"]) == ("2", "x=y", "here")
    assert "NOT_SET" not in environment
    assert "warning: --env NOT_SET: it is not set here" in ran.stderr


def test_channels_of_the_project_and_of_the_command_line(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "data").mkdir()
    (project / "other").mkdir()
    (project / "byoc.toml").write_text('image = "my-model"\n[train.channels]\ntraining = "data"\neval = "data"\n')
    byoc("local-train", "--channel", "eval=other", "--name", "j")
    mounts = {mount.target: image.overlays[mount.source] for mount in image.specs[0].mounts if mount.source}
    assert mounts == {
        "/opt/ml/input/data/training": str(project / "data"),
        "/opt/ml/input/data/eval": str(project / "other"),
    }


def test_an_option_changes_what_it_names_of_a_channel_of_the_project(
    byoc: Byoc, image: FakeEngine, project: Path
) -> None:
    for folder in ("data", "other", "a,b"):
        (project / folder).mkdir()
    (project / "byoc.toml").write_text(
        'image = "my-model"\n[train.channels]\n'
        'training = { source = "data", content-type = "text/csv", mode = "FastFile" }\n'
        'eval = { source = "data", content-type = "text/csv" }\n'
    )
    ran = byoc(
        "local-train", *("-c", "training=other"), *("-c", "eval=,content-type=a;b=c"), *("-c", "new=a,b,mode=FastFile")
    )
    assert ran.code == 0, ran.stderr
    mounts = {
        mount.target: image.overlays.get(mount.source, mount.source) for mount in image.specs[0].mounts if mount.source
    }
    assert mounts == {
        "/opt/ml/input/data/training": str(project / "other"),
        "/opt/ml/input/data/eval": str(project / "data"),
        "/opt/ml/input/data/new": str(project / "a,b"),
    }
    found = json.loads((project / ran.stdout.strip() / "input/config/inputdataconfig.json").read_text())
    assert list(found) == ["training", "eval", "new"]
    assert (found["training"]["ContentType"], found["eval"]["ContentType"]) == ("text/csv", "a;b=c")
    assert "ContentType" not in found["new"]
    assert {entry["TrainingInputMode"] for entry in found.values()} == {"File"}  # FastFile is written so (T-20)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-c", "x=.,mode=pipe"], 2, "did you mean 'Pipe'?"),
        (["-c", "x=.,mod=Pipe"], 2, "did you mean mode=Pipe?"),
        (["-c", "x=,mode=Pipe"], 2, "there is no PATH"),
        (["-c", "x=.,compression=Gzip"], 2, "(T-66)"),
        (["-c", "x=.,mode=FastFile,manifest=byoc.toml"], 2, "the manifest"),
        (["-c", "x=.,manifest=nowhere"], 2, "--channel x=.,manifest=nowhere: there is no such file or folder"),
        (["-c", "x=.,manifest=s3://b/m"], 2, "hint: aws s3 cp s3://b/m . and manifest=m"),
        (["-c", "x=s3://b/p"], 3, "there are no AWS credentials"),
        (["-c", "x=s3://b/p", "-p", "k=" + "v" * 2501], 2, "(T-13)"),  # said before anything is downloaded
        (["-p", "a"], 2, "--hyperparam a: there is no '='"),
        (["-p", "=a"], 2, "--hyperparam =a: there is no name"),
        (["-c", "training=nowhere"], 2, "--channel training=nowhere: there is no such file or folder"),
        (["-e", "=x"], 2, "--env =x: there is no name"),
        (["--env-file", "nowhere"], 2, "--env-file nowhere cannot be read"),
        (["--gpus", "some"], 2, "--gpus some is wrong"),
        (["--name", "not a name"], 2, "(T-25)"),
        (["-p", "k=" + "v" * 2501], 2, "(T-13)"),
        (["--gpus", "all"], 3, "no GPU"),
        (["other:1"], 1, "there is no image 'other:1' here"),
        (["Not/An Image"], 2, "is not an image name"),
    ],
)
def test_a_job_that_cannot_be(byoc: Byoc, image: FakeEngine, words: list[str], code: int, message: str) -> None:
    ran = byoc("local-train", *words)
    assert (ran.code, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert ran.stderr.count("error:") == 1
    assert image.empty


@pytest.mark.parametrize(
    "words",
    [
        ["local-train", "-c", "x=~nobody-here/x"],
        ["local-train", "--checkpoints", "~nobody-here/x"],
        ["serve", "--model", "~nobody-here/x"],
        ["serve", "--models", "~nobody-here/x"],
        ["serve", "--async-output", "~nobody-here/x"],
        ["serve", "--data-capture", "~nobody-here/x"],
        ["batch", "byoc.toml", "--out", "~nobody-here/x"],
        ["check", "-c", "x=~nobody-here/x"],
    ],
    ids=" ".join,
)
def test_nobodys_home_folder(byoc: Byoc, image: FakeEngine, words: list[str]) -> None:
    ran = byoc(*words)
    assert (ran.code, ran.stdout) == (2, "")
    assert "error: ~nobody-here/x: '~nobody-here' is nobody's home folder here\n" in ran.stderr
    assert "hint: ./~nobody-here/x for a folder of that name" in ran.stderr
    assert image.empty


def test_a_stale_image_is_a_warning(byoc: Byoc, engine: FakeEngine) -> None:
    engine.add_image("my-model:latest", {"train": programs.train}, tagged=time.time() - 1000)
    ran = byoc("local-train")
    assert "warning: the image is older than its source" in ran.stderr
    assert ran.code == 0


def test_the_same_name_twice(byoc: Byoc, image: FakeEngine) -> None:
    byoc("local-train", "--name", "j")
    ran = byoc("local-train", "--name", "j")
    assert (ran.code, ran.stdout) == (2, "")
    assert "choose another --name" in ran.stderr


# -- serve, ps, logs, stop, predict ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "nosuch", "--env", "A-B=1"], "environment variable 'A-B'"),
        (["serve", "nosuch", "--gpus", "x"], "--gpus x is wrong"),
        (["serve", "nosuch", "--env-file", "nowhere"], "--env-file nowhere cannot be read"),
        (["serve", "Not An Image", "--model", "nowhere"], "'Not An Image' is not an image name"),
        (["push", "nosuch", "--region", "us west 2"], "'us west 2' is no AWS region"),
        (["push", "nosuch", "--region", "us-west-2", "--repository", "No"], "error: 'No' is no name"),
        (["push", "Not An Image", "--region", "us-west-2"], "'Not An Image' is not an image name"),
        (["push", "nosuch", "--to", "x.example/y", "--tag", "z"], "--to is for other registries"),
        (["local-train", "--build", "--name", "bad name"], "job name 'bad name'"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_looked_up(words: list[str], message: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        code = main(words, fails_with(AssertionError("the engine was asked")))
    assert code == 2
    assert message in out.getvalue()


def test_a_job_s_name_that_is_taken_is_refused_before_the_build(byoc: Byoc, image: FakeEngine) -> None:
    byoc("local-train", "--name", "j")
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        code = main(["local-train", "--build", "--name", "j"], fails_with(AssertionError("the engine was asked")))
    assert (code, "there is a job 'j' already" in out.getvalue()) == (2, True)


def test_an_env_file_s_wrong_line_is_named(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "env").write_text("A=1\n=b\n")
    ran = byoc("serve", "--env-file", "env")
    assert (ran.code, ran.stderr.splitlines()[0]) == (2, "error: --env-file env: =b: there is no name")


def test_without_any_project_the_hint_is_not_to_build(
    byoc: Byoc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ran = byoc("local-train")
    assert (ran.code, ran.stderr.splitlines()[-1]) == (1, "hint: go to the folder of your Dockerfile, or name an image")


def test_a_container_of_that_name_is_not_touched_whosever_it_is(byoc: Byoc, image: FakeEngine) -> None:
    image.create_network("byoc-j", {PROJECT_LABEL: "/another/project", JOB_LABEL: "j"})
    image.create(
        ContainerSpec("my-model:latest", ["serve"], "byoc-j", {PROJECT_LABEL: "/another/project", JOB_LABEL: "j"})
    )
    ran = byoc("local-train", "--name", "j")
    assert (ran.code, ran.stdout) == (2, "")
    assert "error: the name 'byoc-j' is taken\n" in ran.stderr
    assert sorted(thing.type for thing in image.things()) == ["container", "network"]


@pytest.fixture
def endpoint(byoc: Byoc, image: FakeEngine, port: int) -> str:
    """A detached endpoint's URL."""
    ran = byoc("serve", "--detach", "--json", "--port", str(port))
    assert ran.code == 0, ran.stderr
    assert set(ran.data) == {"endpoint", "name", "container", "model", "ready_seconds", "containers"}
    return str(ran.data["endpoint"])


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("--network-isolation",), 2, "error: --aws-credentials with --network-isolation: an isolated job has no"),
        (("--instance-count", "14"), 2, "error: --aws-credentials with 14 hosts: its endpoint has room for 13"),
        (
            (),
            3,
            "error: there are no AWS credentials\nneither in the environment nor in ~/.aws\n\nhint: `aws configure`",
        ),
    ],
)
def test_aws_credentials_that_cannot_be_given(
    byoc: Byoc, image: FakeEngine, project: Path, words: tuple[str, ...], code: int, error: str
) -> None:
    ran = byoc("local-train", "--aws-credentials", *words)
    assert (ran.code, ran.stdout) == (code, "")
    assert error in ran.stderr
    assert image.specs == []
    assert not (project / ".byoc").exists(), "it is said before anything is made"


def test_whose_credentials_a_job_may_use_is_said(
    byoc: Byoc, image: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE1ABCD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-MARKER")
    byoc("local-train")
    assert not any("CREDENTIALS" in name for name in image.specs[0].environment), "nothing without being asked"
    image.sees_files = False  # an engine elsewhere, where nobody reaches an endpoint of this machine
    ran = byoc("local-train", "--aws-credentials")
    assert ran.code == 3
    assert "the job may use your AWS credentials: those of the environment, access key …ABCD\n" in ran.stderr
    assert "error: --aws-credentials is not possible with this engine\nthe engine is on another machine" in ran.stderr
    assert "MARKER" not in ran.stderr
    assert image.empty


def test_serve_detached_prints_where_it_answers(byoc: Byoc, image: FakeEngine, port: int) -> None:
    ran = byoc("serve", "--detach", "--port", str(port))
    assert ran.code == 0
    assert re.fullmatch(rf"http://127\.0\.0\.1:{port}\S*\n", ran.stdout)
    assert "warning: there is no trained model" in ran.stderr


def test_a_container_that_dies_is_reported_at_once_with_its_last_words(
    byoc: Byoc, engine: FakeEngine, port: int
) -> None:
    engine.add_image("my-model:latest", {"serve": programs.die})
    start = time.monotonic()
    ran = byoc("serve", "--port", str(port))
    assert time.monotonic() - start < 100
    assert (ran.code, ran.stdout) == (1, "")
    assert "error: the container ended before it was ready\nits last lines:\n  no model\nexit code 5\n" in ran.stderr
    assert "CannotStartContainerError" in ran.stderr
    assert engine.empty


def test_a_port_that_is_taken_names_its_holder(byoc: Byoc, image: FakeEngine, endpoint: str, port: int) -> None:
    ran = byoc("serve", "--port", str(port))
    assert ran.code == 3
    assert f"port {port} is taken\nby the endpoint 'my-model-" in ran.stderr
    assert "--port" in ran.stderr


def test_a_server_without_its_program(byoc: Byoc, engine: FakeEngine, port: int) -> None:
    engine.add_image("my-model:latest")
    ran = byoc("serve", "--port", str(port))
    assert ran.code == 1
    assert "the container cannot start" in ran.stderr
    assert engine.empty


def test_an_endpoint_that_never_gets_ready(byoc: Byoc, engine: FakeEngine, port: int) -> None:
    def deaf(box: Box) -> programs.Printed:
        yield "stdout", b"thinking\n"
        box.wait_for_signal()
        return 0

    engine.add_image("my-model:latest", {"serve": deaf})
    ran = byoc("serve", "--port", str(port), "--startup-timeout", "1")
    assert (ran.code, ran.stdout) == (1, "")
    assert "did not become ready within 1 s" in ran.stderr
    assert "its last lines:\n  thinking" in ran.stderr
    assert engine.empty


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nowhere"], "there is no model at 'nowhere'"),
        (["--model", "Dockerfile"], "is not a gzip-compressed tar"),
    ],
)
def test_a_model_that_is_none(byoc: Byoc, image: FakeEngine, words: list[str], message: str) -> None:
    ran = byoc("serve", *words)
    assert ran.code == 2
    assert message in ran.stderr


def test_the_model_is_mounted_read_only(byoc: Byoc, image: FakeEngine, project: Path, port: int) -> None:
    (project / "m").mkdir()
    byoc("serve", "--detach", "--model", "m", "--port", str(port))
    (mount,) = image.specs[-1].mounts
    assert (mount.target, mount.source, mount.read_only) == ("/opt/ml/model", str(project / "m"), True)


def test_an_archive_is_unpacked_for_the_model(byoc: Byoc, engine: FakeEngine, project: Path, port: int) -> None:
    seen: list[str] = []

    def look(box: Box) -> programs.Printed:
        seen.append(box.path("/opt/ml/model/w").read_text())
        return (yield from programs.serve(box))

    engine.add_image("my-model:latest", {"serve": look})
    (project / "w").write_text("weights")
    with tarfile.open(project / "model.tar.gz", "w:gz") as tar:
        tar.add(project / "w", "w")
    ran = byoc("serve", "--detach", "--model", "model.tar.gz", "--port", str(port))
    assert ran.code == 0, ran.stderr
    assert seen == ["weights"]
    byoc("stop")
    assert engine.empty


def test_an_archive_that_breaks_off_is_named(byoc: Byoc, image: FakeEngine, project: Path, port: int) -> None:
    (project / "w").write_bytes(os.urandom(100_000))
    with tarfile.open(project / "whole.tar.gz", "w:gz") as tar:
        tar.add(project / "w", "w")
    (project / "model.tar.gz").write_bytes((project / "whole.tar.gz").read_bytes()[:50_000])
    ran = byoc("serve", "--model", "model.tar.gz", "--port", str(port))
    assert (ran.code, ran.stdout) == (1, "")
    assert f"error: {project / 'model.tar.gz'} cannot be unpacked\n" in ran.stderr
    assert "hint: make it anew: tar -czf model.tar.gz" in ran.stderr
    assert image.empty


def test_ctrl_c_stops_a_foreground_endpoint(byoc: Byoc, image: FakeEngine, port: int) -> None:
    def press() -> None:
        deadline = time.monotonic() + 60
        with contextlib.closing(Client(url(port))) as client:
            while client.ping()[0] != 200:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        time.sleep(0.1)  # from there on it is stopped politely
        os.kill(os.getpid(), signal.SIGINT)

    pressed = threading.Thread(target=press)
    pressed.start()
    ran = byoc("serve", "--port", str(port))
    pressed.join()
    assert ran.code == 130
    assert image.empty
    assert "stopping the endpoint: SIGTERM, up to 30 s" in ran.stderr
    assert "bye" in ran.stderr


def test_ps_lists_what_is_in_the_engine(byoc: Byoc, endpoint: str, port: int) -> None:
    (row,) = byoc("ps", "--json").data
    assert set(row) == {"name", "kind", "host", "state", "image", "container", "port", "created", "project"}
    assert (row["kind"], row["state"], row["port"]) == ("endpoint", "running", port)
    assert row["image"] == "my-model:latest", "by its name, not by its id"
    table = byoc("ps").stdout.splitlines()
    assert table[0].split() == ["NAME", "KIND", "STATE", "PORT", "AGE"]
    assert table[1].split()[:4] == [row["name"], "endpoint", "running", str(port)]


def test_ps_of_nothing(byoc: Byoc) -> None:
    ran = byoc("ps")
    assert (ran.code, ran.stdout) == (0, "")
    assert "nothing of this project is running" in ran.stderr
    assert byoc("ps", "--json").data == []


def test_logs_are_on_stdout(byoc: Byoc, endpoint: str) -> None:
    assert byoc("logs").stdout == "serving\n"
    assert byoc("logs", "--json").data == {"log": "serving\n"}
    assert byoc("logs", "--tail", "0").stdout == ""


def test_logs_of_a_job_that_ended(byoc: Byoc, image: FakeEngine) -> None:
    byoc("local-train", "--name", "j")
    assert byoc("logs", "j").stdout == "loss=2.0\nloss=1.0"
    ran = byoc("logs", "nothing")
    assert (ran.code, ran.stdout) == (1, "")


def test_stop_prints_the_names(byoc: Byoc, image: FakeEngine, endpoint: str) -> None:
    name = image.things()[0].job
    assert byoc("stop").stdout == f"{name}\n"
    assert image.empty
    ran = byoc("stop", "--json")
    assert (ran.code, ran.data) == (0, [])


def test_predict_asks_the_running_endpoint(byoc: Byoc, endpoint: str, project: Path) -> None:
    (project / "a.csv").write_text("1,2")
    (project / "b.json").write_text("[]")
    assert byoc("predict", "a.csv", "--json").stdout == '{"bytes": 3, "type": "text/csv"}'
    assert byoc("predict", "a.csv").stdout == '{\n  "bytes": 3,\n  "type": "text/csv"\n}\n'
    several = byoc("predict", "a.csv", "b.json", "--json").stdout.splitlines()
    assert [json.loads(line)["type"] for line in several] == ["text/csv", "application/json"]
    assert byoc("predict", "a.csv", "b.json").stdout.startswith("a.csv\t{")


def test_predict_without_a_file_sends_the_projects_sample(
    byoc: Byoc, endpoint: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = byoc("predict")
    assert (ran.code, ran.stdout) == (2, "")
    assert "error: there is nothing to send\n\nhint: byoc predict FILE, or sample" in ran.stderr
    file = project / "byoc.toml"
    file.write_text(f'{file.read_text() if file.exists() else ""}[predict]\nsample = "data/a.csv"\n')
    ran = byoc("predict")
    assert (ran.code, ran.stdout) == (2, "")
    assert f"there is no file '{project / 'data' / 'a.csv'}'" in ran.stderr
    (project / "data").mkdir()
    (project / "data" / "a.csv").write_text("1,2")
    monkeypatch.chdir(project / "data")  # the project is found upward, and its sample with it
    assert byoc("predict", "--json").data == {"bytes": 3, "type": "text/csv"}


def test_predict_writes_a_file(byoc: Byoc, endpoint: str, project: Path) -> None:
    (project / "a.csv").write_text("1,2")
    ran = byoc("predict", "a.csv", "-o", "answer")
    assert (ran.code, ran.stdout) == (0, "")
    assert (project / "answer").read_text() == '{"bytes": 3, "type": "text/csv"}'


def test_predict_writes_bytes_to_stdout(byoc: Byoc, endpoint: str, project: Path) -> None:
    (project / "a.csv").write_text("1,2")
    ran = byoc("predict", "a.csv", "-o", "-")
    assert (ran.code, ran.stdout) == (0, '{"bytes": 3, "type": "text/csv"}')
    assert not (project / "-").exists()


def test_an_answer_that_cannot_be_written_is_no_traceback(byoc: Byoc, endpoint: str, project: Path) -> None:
    (project / "a.csv").write_text("1,2")
    ran = byoc("predict", "a.csv", "-o", "/dev/full")
    assert (ran.code, ran.stdout) == (1, "")
    assert "error: the answer cannot be written to /dev/full\nNo space left on device\n\nhint: -o FILE" in ran.stderr


def test_predict_repeated(byoc: Byoc, endpoint: str, project: Path) -> None:
    (project / "a.csv").write_text("1,2")
    data = byoc("predict", "a.csv", "--repeat", "5", "--json").data
    assert set(data) == {"requests", "p50", "p95", "p99", "requests_per_second"}
    assert data["requests"] == 5
    assert 0 < data["p50"] <= data["p95"] <= data["p99"]


def test_predict_repeated_does_not_count_what_is_no_answer(byoc: Byoc, endpoint: str, project: Path) -> None:
    (project / "a.csv").write_text("lie")
    for words in (["a.csv"], ["a.csv", "--repeat", "3"]):
        ran = byoc("predict", *words)
        assert (ran.code, ran.stdout) == (1, "")
        assert "error: the answer is not JSON, though it says application/json" in ran.stderr


def test_an_error_of_the_container_comes_with_its_log(byoc: Byoc, endpoint: str, project: Path) -> None:
    (project / "a.csv").write_text("bad")
    ran = byoc("predict", "a.csv")
    assert (ran.code, ran.stdout) == (1, "")
    assert "error: the container answered 400 to /invocations\nwrong shape\n" in ran.stderr
    assert "the container's last lines:\n  serving" in ran.stderr


def test_predict_starts_an_endpoint_where_there_is_a_model(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "a.csv").write_text("1,2")
    ran = byoc("predict", "a.csv")
    assert (ran.code, ran.stdout) == (1, "")
    assert "there is no trained model to start one with" in ran.stderr
    byoc("local-train")
    ran = byoc("predict", "a.csv", "--json")
    assert (ran.code, ran.data) == (0, {"bytes": 3, "type": "text/csv"})
    assert "starting one for this" in ran.stderr
    assert image.empty


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nothing.csv"], 2, "there is no file 'nothing.csv'"),
        (["."], 2, "is a folder, not a file"),
        (["Dockerfile", "byoc.toml", "-o", "x"], 2, "-o takes one response"),
        (["Dockerfile", "-o", "."], 2, "-o .: that is a folder"),
        (["Dockerfile", "-o", "nowhere/x"], 2, "-o nowhere/x: there is no folder nowhere"),
        (["Dockerfile", "-o", "x", "--repeat", "2"], 2, "-o takes one response, and --repeat gives many"),
        (["Dockerfile", "-H", "nonsense"], 2, "--header nonsense: there is no '='"),
        (["Dockerfile", "-H", "A=日"], 2, "--header A=日: the value of 'A' has a character that no header may have"),
        (["Dockerfile", "-H", "bad name=x"], 2, "--header bad name=x: 'bad name' is not the name of a header"),
        (["Dockerfile", "--url", "127.0.0.1:1", "--content-type", "text/日"], 2, "the value of 'Content-Type' has"),
        (["Dockerfile", "--url", "127.0.0.1:1"], 3, "nothing answers at http://127.0.0.1:1"),
    ],
)
def test_a_prediction_that_cannot_be(byoc: Byoc, words: list[str], code: int, message: str) -> None:
    ran = byoc("predict", *words)
    assert (ran.code, ran.stdout) == (code, "")
    assert message in ran.stderr


# -- clean, doctor -----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a docker client."""
    monkeypatch.setenv("PATH", str(tmp_path))


CLEANED = ("containers", "networks", "volumes", "images", "staging", "runs", "folders")


def test_clean_asks_and_without_a_terminal_refuses(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    byoc("local-train", "--name", "j")
    ran = byoc("clean", "--keep", "0")
    assert ran.code == 0, "the latest completed one is kept, so there is nothing to ask"
    assert byoc("clean", "--json").data == {key: [] for key in CLEANED}
    byoc("local-train", "--name", "k")
    ran = byoc("clean", "--keep", "0")
    assert (ran.code, ran.stdout) == (2, "")
    assert "say --yes" in ran.stderr
    assert (project / ".byoc" / "runs" / "j").is_dir()
    ran = byoc("clean", "--keep", "0", "--yes", "--json")
    assert ran.data["runs"] == [".byoc/runs/j"]
    assert not (project / ".byoc" / "runs" / "j").exists()


@pytest.mark.usefixtures("no_client")
def test_doctor_says_each_finding_with_its_remedy(byoc: Byoc, image: FakeEngine) -> None:
    image.registry.add("base:1")
    ran = byoc("doctor", "--json")
    assert ran.code == 0, ran.stderr
    findings = {row["name"]: row for row in ran.data}
    assert all(set(row) == {"name", "result", "seen", "remedy"} for row in ran.data)
    assert findings["engine"]["result"] == findings["project"]["result"] == findings["registry"]["result"] == "ok"
    assert findings["aws"]["result"] == "skip"
    assert all(row["remedy"] for row in ran.data if row["result"] in {"warn", "fail"})
    assert "ok" in byoc("doctor").stdout


@pytest.mark.usefixtures("no_client")
@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]])
def test_doctor_without_an_engine(capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words, fails_with(MachineError("the Docker Engine is not running\nno socket", hint="start it"))) == 3
    out, err = capfd.readouterr()
    assert "error: this machine is not ready: engine" in err
    assert "start it" in out
    if "--json" in words:
        assert {row["name"]: row["result"] for row in json.loads(out)}["engine"] == "fail", (
            "a list, as if all were well"
        )


@pytest.mark.usefixtures("no_client")
def test_doctor_does_not_send_to_the_doctor(capfd: pytest.CaptureFixture[str]) -> None:
    main(["doctor"], fails_with(MachineError("it is not running", hint="is it? `byoc doctor` looks at this machine")))
    remedy = capfd.readouterr().out.partition("fail engine: it is not running\n")[2].splitlines()[0]
    assert "byoc doctor" not in remedy
    assert "systemctl start docker" in remedy


@pytest.mark.usefixtures("no_client")
def test_doctor_with_a_wrong_project_file(byoc: Byoc, project: Path) -> None:
    (project / "byoc.toml").write_text("imgae = 1\n")
    ran = byoc("doctor")
    assert ran.code == 3
    assert "did you mean 'image'?" in ran.stdout


@pytest.mark.parametrize("command", ["build", "local-train", "serve", "ps", "stop", "logs", "clean"])
def test_a_wrong_project_file_is_exit_code_2_everywhere(byoc: Byoc, project: Path, command: str) -> None:
    (project / "byoc.toml").write_text("imgae = 1\n")
    ran = byoc(command)
    assert (ran.code, ran.stdout) == (2, "")
    assert "did you mean 'image'?" in ran.stderr


def test_doors_are_opened_only_when_needed() -> None:
    def never() -> None:
        raise AssertionError("opened")

    assert main(["build", "nowhere"], Doors(connect=never)) == 2  # type: ignore[arg-type]


def test_two_connections_are_one(engine: FakeEngine) -> None:
    opened: list[int] = []
    inner = doors(engine)

    def count() -> object:
        opened.append(1)
        return inner.connect()

    main(["local-train"], Doors(connect=count))  # type: ignore[arg-type]
    assert opened == [1]


def test_raw_is_the_container_s_own_port(byoc: Byoc, image: FakeEngine, port: int) -> None:
    assert byoc("serve", "--detach", "--raw", "--port", str(port)).code == 0
    assert image.specs[-1].ports == {8080: port}
    assert "byoc.port" not in image.specs[-1].labels
    assert byoc("ps", "--json").data[0]["port"] == port
    ran = byoc("serve", "--raw", "--data-capture", "x")
    assert (ran.code, ran.stdout) == (2, "")
    assert "--raw has no data capture" in ran.stderr


def test_an_endpoint_s_port_is_its_local_endpoint_s(byoc: Byoc, image: FakeEngine, endpoint: str, port: int) -> None:
    assert image.specs[-1].ports == {8080: 0}
    assert image.specs[-1].labels["byoc.port"] == str(port)
    assert endpoint == f"http://127.0.0.1:{port}"


def test_a_local_endpoint_that_was_killed_is_said(byoc: Byoc, image: FakeEngine, port: int) -> None:
    byoc("serve", "--detach", "--raw", "--port", str(port))
    (life,) = image.lives.values()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        life.spec = replace(life.spec, labels={**life.spec.labels, "byoc.port": str(nobody.getsockname()[1])})
        ran = byoc("ps", "--json")
        assert ran.data[0]["state"] == "unreachable"
        assert "is gone, its container runs on\nhint: byoc stop " in ran.stderr
        assert byoc("stop").code == 0
    assert image.empty


def test_data_capture_is_relative_to_the_current_folder(
    byoc: Byoc, image: FakeEngine, port: int, project: Path
) -> None:
    assert byoc("serve", "--detach", "--data-capture", "c.jsonl", "--port", str(port)).code == 0
    (project / "a.csv").write_text("1,2")
    assert byoc("predict", "a.csv", "--json").code == 0
    (line,) = (project / "c.jsonl").read_text().splitlines()
    assert json.loads(line)["captureData"]["endpointInput"]["data"] == "1,2"
    assert byoc("serve", "--data-capture", "nowhere/c.jsonl").code == 2


# -- serve --watch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--raw", "error: --raw has no --watch\neach container has its own port: callers would lose it\n"),
        ("--detach", "error: --watch is for the foreground, where it says what it does\n\nhint: leave --detach out"),
    ],
)
def test_watch_is_for_the_foreground_and_behind_a_local_endpoint(
    byoc: Byoc, image: FakeEngine, option: str, message: str
) -> None:
    ran = byoc("serve", "--watch", option)
    assert (ran.code, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert image.specs == []


def test_watch_puts_a_new_container_in_the_place(byoc: Byoc, image: FakeEngine, project: Path, port: int) -> None:
    """With another model, with an image that dies, and with one that does not."""
    (project / "m").mkdir()

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)

    def running() -> list[str]:
        return [thing.name for thing in image.things() if thing.running]

    def act() -> None:
        until(lambda: len(running()) == 1)
        (project / "m" / "weights").touch()
        until(lambda: [name[-9:] for name in running()] == ["-update-1"])
        image.add_image("my-model:latest", {"serve": programs.die})
        until(lambda: len(image.specs) == 3)
        until(lambda: len(image.lives) == 1)
        image.add_image("my-model:latest", {"serve": programs.serve})
        until(lambda: [name[-9:] for name in running()] == ["-update-3"])
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=act).start()
    ran = byoc("serve", "--watch", "--model", "m", "--port", str(port))
    assert ran.code == 130, ran.stderr
    assert image.empty
    assert ran.stdout == f"http://127.0.0.1:{port}/invocations\n"
    assert ran.stderr.count("the model changed: starting a new container beside the one that answers\n") == 1
    assert ran.stderr.count("the image changed: starting a new container") == 2
    assert "warning: the image changed, and the old container answers as before\nthe container ended" in ran.stderr
    assert ran.stderr.count("the new container answers from now on") == 2
    assert [grace for grace in image.graces if grace] == [30, 30, 30]
    jobs = {spec.labels["byoc.job"] for spec in image.specs}
    assert len(jobs) == 1, "it is one endpoint"
    assert len({spec.network for spec in image.specs}) == 4
