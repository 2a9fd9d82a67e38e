"""The options of `byoc local-train` that make a job another one: what they ask of the engine, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.conftest import Byoc
from tests.commands.programs import train
from tests.fakes import FakeEngine


@pytest.fixture
def image(engine: FakeEngine, project: Path) -> FakeEngine:
    engine.add_image("my-model:latest", {"train": train, "python3": train})
    return engine


def test_hosts_of_an_instance_type_share_the_machine(byoc: Byoc, image: FakeEngine) -> None:
    ran = byoc("local-train", "--instance-count", "2", "--instance-type", "ml.m5.large", "--shm-size", "2g", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.data["ResourceConfig"] == {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    assert [(spec.cpuset, spec.memory, spec.shm_size) for spec in image.specs] == [("", 0, 2 << 30)] * 2
    assert "2 hosts of ml.m5.large have 4 CPUs and 16 GiB; this machine gives 2 CPUs and 8 GiB\n" in ran.stderr
    assert image.empty


def test_an_instance_type_that_fits_limits_the_container(byoc: Byoc, image: FakeEngine) -> None:
    ran = byoc("local-train", "--instance-type", "ml.t3.medium")
    assert ran.code == 0, ran.stderr
    (spec,) = image.specs
    assert (spec.cpuset, spec.memory, spec.gpus) == ("", 4 << 30, "none")
    assert "this machine gives" not in ran.stderr


def test_the_type_of_the_project_is_a_name_and_limits_nothing(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "byoc.toml").write_text('image = "my-model"\n[train]\ninstance-type = "ml.t3.medium"\n')
    assert byoc("local-train", "--json").data["ResourceConfig"]["InstanceType"] == "ml.t3.medium"
    assert (image.specs[0].cpuset, image.specs[0].memory) == ("", 0)


def test_the_hosts_of_the_project(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "byoc.toml").write_text('image = "my-model"\n[train]\ninstance-count = 3\n')
    assert byoc("local-train").code == 0
    assert len(image.specs) == 3
    assert byoc("local-train", "--instance-count", "1", "--name", "one").code == 0
    assert image.specs[3].name == "byoc-one"


@pytest.mark.parametrize("words", ['python3 -c "a b"', '["python3", "-c", "a b"]'])
def test_an_entrypoint_is_words_or_a_list(byoc: Byoc, image: FakeEngine, words: str) -> None:
    assert byoc("local-train", "--entrypoint", words, "--arguments", "x").code == 0
    assert (image.specs[0].entrypoint, list(image.specs[0].command)) == (["python3"], ["-c", "a b", "x"])


def test_entrypoint_and_arguments_of_the_project(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "byoc.toml").write_text(
        'image = "my-model"\n[train]\nentrypoint = ["python3", "a.py"]\narguments = ["--x", "1"]\n'
    )
    assert byoc("local-train").code == 0
    assert (image.specs[0].entrypoint, list(image.specs[0].command)) == (["python3"], ["a.py", "--x", "1"])


def test_the_folder_of_checkpoints_is_made(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    ran = byoc("local-train", "--checkpoints", "deep/checkpoints", "--max-runtime", "10m", "--json")
    assert ran.code == 0, ran.stderr
    assert (project / "deep/checkpoints").is_dir()
    assert ran.data["CheckpointConfig"]["S3Uri"] == (project / "deep/checkpoints").as_uri()
    assert ran.data["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}


def test_checkpoints_where_no_folder_can_be(byoc: Byoc, image: FakeEngine) -> None:
    ran = byoc("local-train", "--checkpoints", "byoc.toml/deep")
    assert ran.code == 2
    assert "there can be no such folder\nNot a directory\n" in ran.stderr


def test_isolation(byoc: Byoc, image: FakeEngine) -> None:
    assert byoc("local-train", "--network-isolation", "--json").data["EnableNetworkIsolation"] is True
    assert image.internal


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--instance-type", "ml.m5.xlarg"], "did you mean ml.m5.xlarge?"),
        (["--instance-type", "m5"], "there is no such instance type"),
        (["--instance-count", "0"], "0 is not in the range"),
        (["--instance-count", "101"], "101 hosts\nat most 100 containers are made on one machine"),
        (["--entrypoint", ""], "--entrypoint '': there is no word in it (T-05)"),
        (["--arguments", "[]"], "--arguments '[]': there is no word in it (T-05)"),
        (["--shm-size", "much"], "--shm-size much: that is not a size"),
        (["--max-runtime", "soon"], "--max-runtime soon: that is not a time"),
        (["--max-runtime", "0"], "--max-runtime 0: that is not a time"),
        (["--max-runtime", "29d"], "(T-42)"),
        (["--interrupt-after", "-1"], "--interrupt-after -1: that is not a time"),
        (["--entrypoint", "a 'b"], "--entrypoint a 'b: these are no words"),
        (["--arguments", "[1]"], "--arguments [1]: it is not a list of texts"),
        (["--arguments", "[x"], "--arguments [x: these are no words"),
        (["--arguments", "x" * 257], "(T-05)"),
        (["--checkpoints", "byoc.toml"], "--checkpoints byoc.toml: that is not a folder"),
        (["--gpus", "some"], "--gpus some is wrong"),
        (["--name", "not a name"], "(T-25)"),
        (["--as", "estimator"], "--as estimator: there is no such way\n\nhint: --as image or --as sdk-v3"),
        (["--entry-script", "train.py"], "--entry-script is for --as sdk-v3"),
        (["--as", "sdk-v3", "--entrypoint", "a"], "ModelTrainer sets both (T-09)"),
        (["--as", "sdk-v3", "--entry-script", "train.py"], "there is no channel 'code'"),
        (["--as", "sdk-v3", "-c", "code=."], "--as sdk-v3: which script is to be run?"),
        (["--as", "sdk-v3", "-c", "code=.", "--entry-script", "no.py"], "channel 'code': there is no file no.py"),
        (["--as", "sdk-v3", "-c", "code=.", "--entry-script", "byoc.toml"], ".py and .sh only (T-09)"),
        (["--as", "sdk-v3", "-c", "code=.", "--entry-script", "../my-model/byoc.toml"], "it has to be relative"),
        (["--as", "sdk-v3", "-c", "code=byoc.toml", "--entry-script", "a.py"], "channel 'code' is not a folder"),
        (["--as", "sdk-v3", "-c", "code=.", "-c", "sm_drivers=."], "'sm_drivers': there is no file sm_train.sh"),
        (
            ["--as", "sdk-v3", "-c", "code=.", "-c", "sm_drivers=.", "--entry-script", "a.py"],
            "leave one of the two out",
        ),
        (
            ["--as", "sdk-v3", "-c", "code=.,mode=FastFile", "--entry-script", "byoc.toml"],
            "needs mode=File and distribution=FullyReplicated (T-10)",
        ),
        (["--shell-on-failure"], "--shell-on-failure: there is no terminal for a shell"),
        (
            ["-c", "code=.,mode=FastFile", "--entrypoint", "python3 /opt/ml/input/data/code/train.py"],
            "it needs mode=File and distribution=FullyReplicated (T-10)",
        ),
    ],
)
def test_wrong_words_are_said_before_the_image_is_looked_for(
    byoc: Byoc, project: Path, words: list[str], said: str
) -> None:
    ran = byoc("local-train", *words)
    assert (ran.code, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert "there is no image" not in ran.stderr
    assert not (project / ".byoc").exists()


def test_a_job_that_ran_too_long_ends_with_1_and_is_described(byoc: Byoc, engine: FakeEngine, project: Path) -> None:
    from tests.unit.test_training_hosts import waiting

    engine.add_image("my-model:latest", {"train": waiting()})
    ran = byoc("local-train", "--max-runtime", "1s", "--json")
    assert ran.code == 1
    assert json.loads(ran.stdout)["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert ran.stderr.count("error: ") == 1


def test_what_lasts_as_long_as_the_job_is_gone(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "data").mkdir()
    (project / "data" / "a").write_text("a")
    ran = byoc("local-train", "-c", "x=data,mode=Pipe", "-c", "y=data/a", "--name", "j")
    assert ran.code == 0, ran.stderr
    assert not [path for path in (project / ".byoc/runs/j").iterdir() if path.name.startswith(".")]


# -- --as sdk-v3 (T-09) ------------------------------------------------------------------------------------------------

ARGUMENTS = ["-c", "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && /opt/ml/input/data/sm_drivers/sm_train.sh"]


@pytest.fixture
def with_bash(engine: FakeEngine, project: Path) -> FakeEngine:
    """An image with a bash, a folder of code, and one that is to be sm_drivers."""
    engine.add_image("my-model:latest", {"bash": train, "train": train})
    (project / "src").mkdir()
    (project / "src" / "train.py").write_text("print(1)\n")
    (project / "drivers").mkdir()
    (project / "drivers" / "sm_train.sh").write_text("echo theirs\n")
    return engine


def test_t09_as_model_trainer_with_drivers_of_byoc_s(byoc: Byoc, with_bash: FakeEngine, project: Path) -> None:
    ran = byoc("local-train", "--as", "sdk-v3", "-c", "code=src", "--entry-script", "train.py", "--name", "j", "--json")
    assert ran.code == 0, ran.stderr
    assert "job j: my-model:latest as sdk-v3: train.py\n" in ran.stderr
    (spec,) = with_bash.specs
    assert (spec.entrypoint, list(spec.command)) == (["/bin/bash"], ARGUMENTS)
    channels = {
        each["ChannelName"]: each["DataSource"]["FileDataSource"]["Path"] for each in ran.data["InputDataConfig"]
    }
    drivers = project / ".byoc/runs/j/sm_drivers"
    assert channels == {"code": str(project / "src"), "sm_drivers": str(drivers)}
    assert json.loads((drivers / "sourcecode.json").read_text())["entry_script"] == "train.py"
    assert (drivers / "sm_train.sh").stat().st_mode & 0o111
    written = json.loads((project / ".byoc/runs/j/input/config/inputdataconfig.json").read_text())
    assert list(written) == ["code", "sm_drivers"]


def test_t09_drivers_that_are_given_are_untouched(byoc: Byoc, with_bash: FakeEngine, project: Path) -> None:
    ran = byoc("local-train", "--as", "sdk-v3", "-c", "code=src", "-c", "sm_drivers=drivers", "--name", "j", "--json")
    assert ran.code == 0, ran.stderr
    assert ran.data["InputDataConfig"][1]["DataSource"]["FileDataSource"]["Path"] == str(project / "drivers")
    assert [path.name for path in (project / "drivers").iterdir()] == ["sm_train.sh"]
    assert not (project / ".byoc/runs/j/sm_drivers").exists()


def test_t09_the_project_s_profile_and_what_wins_over_it(byoc: Byoc, with_bash: FakeEngine, project: Path) -> None:
    (project / "byoc.toml").write_text(
        'image = "my-model"\n[train]\nprofile = "sdk-v3"\nentry-script = "train.py"\n[train.channels]\ncode = "src"\n'
    )
    for words in ([], ["--as", "image"], ["--entrypoint", "train"], ["--arguments", "train"]):
        ran = byoc("local-train", *words)
        assert ran.code == 0, ran.stderr
    entrypoints = [spec.entrypoint for spec in with_bash.specs]
    assert entrypoints == [["/bin/bash"], None, ["train"], None]


def test_t09_an_image_without_bash(byoc: Byoc, image: FakeEngine, project: Path) -> None:
    (project / "train.py").touch()
    ran = byoc("local-train", "--as", "sdk-v3", "-c", "code=.", "--entry-script", "train.py")
    assert ran.code == 1
    assert "hint: ModelTrainer starts an image with /bin/bash: install bash in it (T-09)" in ran.stderr


def test_t55_the_drivers_are_one_of_twenty_channels(byoc: Byoc, with_bash: FakeEngine) -> None:
    more = [word for number in range(19) for word in ("-c", f"c{number}=src")]
    ran = byoc("local-train", "--as", "sdk-v3", "-c", "code=src", "--entry-script", "train.py", *more)
    assert (ran.code, "21 channels; at most 20 are allowed (T-55)" in ran.stderr) == (2, True)
