"""byoc.toml: how it is found, what wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from byoc_cli.errors import UsageError
from byoc_cli.project import ChannelSettings, PictureSettings, Project, find, load

EXAMPLE = """
image = "my-model"
platform = "linux/arm64"

[build]
dockerfile = "docker/Dockerfile"
args = { BASE_IMAGE = "python:3.12", JOBS = 4 }
target = "runtime"

[train]
instance-type = "ml.g5.xlarge"
instance-count = 2
[train.hyperparameters]
train-steps = 100
lr = 1e-3
half = 0.5
augment = true
name = "run one"
[train.channels]
training = "data/cifar-10"
eval = { source = "eval.csv", content-type = "text/csv" }
[train.channels.stream]
source = "s3://bucket/prefix"
mode = "Pipe"
distribution = "ShardedByS3Key"
record-wrapper = "RecordIO"
compression = "Gzip"
shuffle-seed = 1
manifest = "stream.manifest"
[train.metrics]
loss = 'loss=([0-9.]+)'
[train.environment]
LEVEL = 3

[serve]
instance-type = "ml.c5.large"
environment = { WORKERS = 2 }

[predict]
accept = "application/json"
content-type = "text/csv"
sample = "a.csv"
image = { size = [48, 32], color = "L" }
classes = ["cat", "dog"]

[dev]
mounts = { "src" = "/opt/ml/code", "../common" = "/opt/common" }
"""


def make(folder: Path, text: str, name: str = "byoc.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_key_is_read(tmp_path: Path) -> None:
    project = load(make(tmp_path, EXAMPLE), {})
    assert (project.image, project.platform, project.file) == ("my-model", "linux/arm64", tmp_path / "byoc.toml")
    assert project.dockerfile == tmp_path / "docker" / "Dockerfile"
    assert project.build.args == {"BASE_IMAGE": "python:3.12", "JOBS": "4"}
    assert project.build.target == "runtime"
    assert (project.train.instance_type, project.train.instance_count) == ("ml.g5.xlarge", 2)
    assert project.train.channels == {
        "training": ChannelSettings("data/cifar-10"),
        "eval": ChannelSettings("eval.csv", "text/csv"),
        "stream": ChannelSettings(
            "s3://bucket/prefix", "", "Pipe", "ShardedByS3Key", "RecordIO", "Gzip", 1, "stream.manifest"
        ),
    }
    assert project.train.metrics == {"loss": "loss=([0-9.]+)"}
    assert project.train.environment == {"LEVEL": "3"}
    assert (project.serve.instance_type, project.serve.environment) == ("ml.c5.large", {"WORKERS": "2"})
    assert (project.predict.accept, project.predict.content_type) == ("application/json", "text/csv")
    assert project.predict.sample == "a.csv"
    assert project.predict.image == PictureSettings((48, 32), "L")
    assert project.predict.classes == ("cat", "dog")
    assert project.dev.mounts == {"src": "/opt/ml/code", "../common": "/opt/common"}


def test_t09_a_profile_and_its_script(tmp_path: Path) -> None:
    train = load(make(tmp_path, '[train]\nprofile = "sdk-v3"\nentry-script = "train.py"\n'), {}).train
    assert (train.profile, train.entry_script) == ("sdk-v3", "train.py")
    assert load(make(tmp_path, ""), {}).train.profile == "image"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('profile = "sdk"', "train.profile is wrong\n'sdk' is not known"),
        ("profile = 3", "train.profile is wrong\n3 is not a text"),
        ('profile = "sdk-v3"\narguments = ["a"]', "ModelTrainer sets entrypoint and arguments itself"),
    ],
)
def test_t09_a_profile_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(make(tmp_path, f"[train]\n{text}\n"), {})
    assert said in str(caught.value)


def test_t12_hyperparameters_are_strings_as_toml_spells_them(tmp_path: Path) -> None:
    assert load(make(tmp_path, EXAMPLE), {}).train.hyperparameters == {
        "train-steps": "100",
        "lr": "0.001",
        "half": "0.5",
        "augment": "true",
        "name": "run one",
    }


def test_a_folder_with_only_a_dockerfile_is_a_project(tmp_path: Path) -> None:
    folder = make(tmp_path / "My Model", "FROM scratch\n", "Dockerfile")
    project = load(folder, {})
    assert (project.image, project.file, project.root) == ("my-model", None, folder)
    assert project == Project(root=folder, image="my-model")
    assert project.home == folder / ".byoc"


# -- discovery ---------------------------------------------------------------------------------------------------------


def test_it_is_found_from_below(tmp_path: Path) -> None:
    make(tmp_path, "")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find(below) == (tmp_path, tmp_path / "byoc.toml")


def test_a_dockerfile_right_here_wins_over_a_file_above(tmp_path: Path) -> None:
    make(tmp_path, "")
    here = make(tmp_path / "other", "FROM scratch\n", "Dockerfile")
    assert find(here) == (here, None)


def test_a_dockerfile_between_here_and_the_file_does_not(tmp_path: Path) -> None:
    make(tmp_path, "")
    here = make(tmp_path / "docker", "FROM scratch\n", "Dockerfile") / "src"
    here.mkdir()
    assert find(here) == (tmp_path, tmp_path / "byoc.toml")


@pytest.mark.parametrize(("name", "file"), [("byoc.toml", "byoc.toml"), ("Dockerfile", None)])
def test_the_folder_container_below_is_looked_at_last(tmp_path: Path, name: str, file: str | None) -> None:
    make(tmp_path / "container", "", name)
    assert find(tmp_path) == (tmp_path / "container", tmp_path / "container" / file if file else None)


def test_the_image_of_a_folder_container_is_named_after_the_repository(tmp_path: Path) -> None:
    make(tmp_path / "my-repo" / "container", "FROM scratch\n", "Dockerfile")
    assert load(tmp_path / "my-repo", {}).image == "my-repo"


def test_nothing_anywhere_is_the_folder_itself(tmp_path: Path) -> None:
    assert find(tmp_path) == (tmp_path, None)


def test_a_pyproject_counts_only_with_our_table(tmp_path: Path) -> None:
    make(tmp_path, "[project]\nname = 'x'\n", "pyproject.toml")
    assert find(tmp_path) == (tmp_path, None)
    make(tmp_path, "[project]\nname = 'x'\n[tool.byoc]\nimage = 'y'\n[tool.byoc.train]\n", "pyproject.toml")
    project = load(tmp_path, {})
    assert (project.image, project.file) == ("y", tmp_path / "pyproject.toml")


def test_byoc_toml_wins_over_pyproject(tmp_path: Path) -> None:
    make(tmp_path, "[tool.byoc]\nimage = 'y'\n", "pyproject.toml")
    make(tmp_path, "image = 'x'\n")
    assert load(tmp_path, {}).image == "x"


def test_a_link_to_a_project_is_the_same_project(tmp_path: Path) -> None:
    make(tmp_path / "real", "")
    (tmp_path / "link").symlink_to("real")
    assert load(tmp_path / "link", {}).id == load(tmp_path / "real", {}).id


@pytest.mark.parametrize(("name", "message"), [("nothing", "there is no folder"), ("file", "is not a folder")])
def test_what_is_no_folder(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=message):
        load(tmp_path / name, {})


# -- precedence --------------------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    folder = make(tmp_path, 'image = "a"\nplatform = "linux/amd64"\n')
    project = load(folder, {"BYOC_IMAGE": "b:2", "BYOC_PLATFORM": "linux/arm64"})
    assert (project.image, project.platform) == ("b:2", "linux/arm64")


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert load(make(tmp_path, 'image = "a"\n'), {"BYOC_IMAGE": ""}).image == "a"


def test_an_empty_environment_is_not_the_process_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYOC_IMAGE", "from-the-process")
    folder = make(tmp_path, 'image = "a"\n')
    assert load(folder, {}).image == "a"
    assert load(folder).image == "from-the-process"


@pytest.mark.parametrize(("variable", "value"), [("BYOC_IMAGE", "Not An Image"), ("BYOC_PLATFORM", "windows/amd64")])
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=variable):
        load(make(tmp_path, ""), {variable: value})


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("imgae = 'x'", "'imgae' at the top", "did you mean 'image'?"),
        ("[trian]", "'trian' at the top", "did you mean 'train'?"),
        ("[train.hyper_parameters]", "'hyper_parameters' in [train]", "did you mean 'hyperparameters'?"),
        ("[train]\ninstance_type = 'x'", "'instance_type' in [train]", "did you mean 'instance-type'?"),
        ("[build]\nfile = 'x'", "'file' in [build]", "did you mean 'dockerfile'?"),
        ("[serve]\nport = 1", "'port' in [serve]", "known keys: instance-type, environment"),
        ("[predict]\nzzz = 1", "'zzz' in [predict]", "known keys: accept, content-type, sample, image, classes"),
        ("[predict.image]\nsise = 1", "'sise' in [predict.image]", "did you mean 'size'?"),
        (
            "[train.channels.a]\nsource = 'x'\ncontent_type = 'y'",
            "'content_type' in [train.channels.a]",
            "did you mean 'content-type'?",
        ),
        ("[train.channels.a]\nsource = 'x'\nmod = 'y'", "'mod' in [train.channels.a]", "did you mean 'mode'?"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(tmp_path: Path, text: str, where: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(make(tmp_path, text), {})
    assert caught.value.message == f"{tmp_path / 'byoc.toml'}: there is no key {where}"
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("image = 3", "image", "3 is not a text"),
        ("image = 'No Image'", "image", "'No Image' is not an image name"),
        ("image = ''", "image", "it is empty"),
        ("platform = 'windows/amd64'", "platform", "'windows/amd64' is no platform of SageMaker's"),
        ("platform = ['linux/amd64']", "platform", "['linux/amd64'] is not a text"),
        ("build = 1", "build", "it is not a table"),
        ("[build]\ndockerfile = true", "build.dockerfile", "True is not a text"),
        ("[build]\nargs = ['A=1']", "build.args", "it is not a table"),
        ("[build.args]\nA = [1]", "build.args.A", "[1] is not a text or a number"),
        ("[train]\ninstance-count = 0", "train.instance-count", "0 is not a number of hosts"),
        ("[train]\ninstance-count = '2'", "train.instance-count", "'2' is not a number of hosts"),
        ("[train]\ninstance-count = true", "train.instance-count", "True is not a number of hosts"),
        ("[train]\ninstance-type = 5", "train.instance-type", "5 is not a text"),
        ("[train]\nhyperparameters = 1", "train.hyperparameters", "it is not a table"),
        ("[train.hyperparameters]\na = [1, 2]", "train.hyperparameters.a", "[1, 2] is not a text or a number"),
        ("[train.hyperparameters]\na = { b = 1 }", "train.hyperparameters.a", "{'b': 1} is not a text or a number"),
        ("[train]\nchannels = 'data'", "train.channels", "it is not a table"),
        ("[train.channels]\ntraining = 5", "train.channels.training", "it has no source"),
        ("[train.channels.training]\ncontent-type = 'x'", "train.channels.training", "it has no source"),
        ("[train.channels.training]\nsource = 5", "train.channels.training.source", "5 is not a text"),
        (
            "[train.channels.a]\nsource = 'x'\nmode = 'pipe'",
            "train.channels.a.mode",
            "'pipe' is none of File, FastFile",
        ),
        ("[train.channels.a]\nsource = 'x'\nmode = 1", "train.channels.a.mode", "1 is not a text"),
        (
            "[train.channels.a]\nsource = 'x'\ncompression = ''",
            "train.channels.a.compression",
            "'' is none of None, Gzip",
        ),
        (
            "[train.channels.a]\nsource = 'x'\nshuffle-seed = '1'",
            "train.channels.a.shuffle-seed",
            "is not a whole number",
        ),
        ("[train.channels.a]\nsource = 'x'\nshuffle-seed = true", "train.channels.a.shuffle-seed", "is not a whole"),
        ("[train.channels.a]\nsource = 'x'\nmanifest = []", "train.channels.a.manifest", "[] is not a text"),
        ("[train.metrics]\nloss = '('", "train.metrics.loss", "'(' is not a regular expression"),
        ("[train.metrics]\nloss = 'loss=.*'", "train.metrics.loss", "has no group for the value"),
        ("[train.environment]\nA = [1]", "train.environment.A", "[1] is not a text or a number"),
        ("serve = []", "serve", "it is not a table"),
        ("[serve]\nenvironment = 1", "serve.environment", "it is not a table"),
        ("[predict]\nclasses = 'cat'", "predict.classes", "it is not a list of names"),
        ("[predict]\nclasses = [1]", "predict.classes", "it is not a list of names"),
        ("[predict]\nimage = [32, 32]", "predict.image", "it is not a table"),
        ("[predict]\nimage = { size = 32 }", "predict.image.size", "32 is not [width, height]"),
        ("[predict]\nimage = { size = [32] }", "predict.image.size", "[32] is not [width, height]"),
        ("[predict]\nimage = { size = [0, 32] }", "predict.image.size", "[0, 32] is not [width, height]"),
        ("[predict]\nimage = { size = [32.0, 32] }", "predict.image.size", "[32.0, 32] is not [width, height]"),
        ("[predict]\nimage = { size = [true, 32] }", "predict.image.size", "[True, 32] is not [width, height]"),
        ("[predict]\nimage = { color = 'BGR' }", "predict.image.color", "'BGR' is not known"),
        ("[predict]\naccept = 1", "predict.accept", "1 is not a text"),
    ],
)
def test_a_wrong_value_names_file_key_and_reason(tmp_path: Path, text: str, key: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(make(tmp_path, text), {})
    head, _, reason = caught.value.message.partition("\n")
    assert head == f"{tmp_path / 'byoc.toml'}: {key} is wrong"
    assert why in reason


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"image = ", "is not valid TOML"),
        (b"image = 'a'\nimage = 'b'", "is not valid TOML"),
        (b"image = '\xff'", "is not valid TOML"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "byoc.toml").write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        load(tmp_path, {})
    assert str(tmp_path / "byoc.toml") in caught.value.message


@pytest.mark.parametrize("text", ["[tool]\nbyoc = 1", "[tool]\nbyoc = 'x'"])
def test_a_pyproject_whose_table_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="is not a table"):
        load(make(tmp_path, text, "pyproject.toml"), {})


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "byoc.toml").write_bytes(b"\xef\xbb\xbfimage = 'x'\r\n")
    assert load(tmp_path, {}).image == "x"


def test_reading_never_writes(tmp_path: Path) -> None:
    make(tmp_path, EXAMPLE)
    before = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}
    load(tmp_path, {})
    assert {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]} == before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[tool]\nbyoc = { image = "m" }\n', True),
        ('[tool.byoc]\nimage = "m"\n', True),
        ('tool.byoc.image = "m"\n', True),
        ('[project.scripts]\nbyoc = "x:y"\n', False),
        ("[tool.other]\nbyoc = 1\n", False),
        ("[tool.byoc\n", True),
    ],
)
def test_tool_byoc_is_found_however_it_is_spelled(tmp_path: Path, text: str, found: bool) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert find(tmp_path) == (tmp_path, tmp_path / "pyproject.toml" if found else None)


def test_an_empty_dockerfile_name(tmp_path: Path) -> None:
    (tmp_path / "byoc.toml").write_text('[build]\ndockerfile = ""\n')
    with pytest.raises(UsageError, match=r"build\.dockerfile is wrong\nit is empty"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mount = { "a" = "/b" }', "there is no key 'mount' in [dev]"),
        ('mounts = "a"', "dev.mounts is wrong\nit is not a table"),
        ('mounts = { a = "code" }', "dev.mounts.a is wrong\n'code' is not an absolute path"),
        ('mounts = { a = "/x/../opt" }', "'/x/../opt' is not an absolute path"),
        ('mounts = { a = "/opt/ml" }', "'/opt/ml' would hide /opt/ml, which is SageMaker's"),
        ('mounts = { a = "/opt/" }', "'/opt/' would hide /opt/ml, which is SageMaker's"),
        ('mounts = { a = "/" }', "'/' would hide /opt/ml, which is SageMaker's"),
        ('mounts = { a = "/opt/ml/model" }', "'/opt/ml/model' is SageMaker's own"),
        ('mounts = { a = "/opt/ml/input/data/training" }', "'/opt/ml/input/data/training' is SageMaker's own"),
    ],
)
def test_a_mount_that_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(make(tmp_path, f"[dev]\n{text}\n"), {})
    assert said in str(caught.value)
