"""Adopting: each folder of tests/adopted comes to the byoc.toml and the findings that lie beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from byoc_cli import project
from byoc_cli.adopt import Adoption, adopt, toml, write
from byoc_cli.adopt.proposal import Aside, Found, Proposal
from byoc_cli.errors import ByocError, MachineError, UsageError

ADOPTED = Path(__file__).parents[1] / "adopted"
FOLDERS = sorted(path.name for path in ADOPTED.iterdir() if path.is_dir())
SOUND = Path(__file__).parents[1] / "integration" / "projects"
REPOSITORY = Path(__file__).parents[2]
TEMPLATES = sorted(path.parent.name for path in (REPOSITORY / "templates").glob("*/Dockerfile"))

TRAIN = """#!/usr/bin/env python3
import json, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
hp = json.load(open("/opt/ml/input/config/hyperparameters.json"))
open("/opt/ml/output/failure", "w")
"""
SERVE = """#!/usr/bin/env python3
import signal, sys, flask
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
app = flask.Flask("a")
@app.get("/ping")
@app.post("/invocations")
def answer(): return ""
app.run(host="0.0.0.0", port=8080)
"""
DOCKERFILE = "FROM python:3.11\nCOPY train serve /usr/local/bin/\n"


def folder(tmp_path: Path, **files: str) -> Path:
    """A sound project, with changes: None leaves a file out; names have __ for a slash and _dot_ for a dot."""
    made = tmp_path / "my-model"
    made.mkdir(exist_ok=True)
    for name, text in {"Dockerfile": DOCKERFILE, "train": TRAIN, "serve": SERVE, **files}.items():
        path = made / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.chmod(0o755)
    return made


def missing(found: Adoption) -> list[tuple[str, str]]:
    """(id, where) of what is missing."""
    return [(each.id, each.where) for each in found.missing]


def copied(name: str, tmp_path: Path) -> Path:
    """A folder of tests/adopted where no git knows it."""
    return Path(shutil.copytree(ADOPTED / name, tmp_path / name))


# -- the shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_comes_to_the_byoc_toml_that_lies_beside_it(name: str, tmp_path: Path) -> None:
    found = adopt(copied(name, tmp_path))
    assert found.text == (ADOPTED / f"{name}.toml").read_text()
    lines = [f"{each.result} {each.id or 'build'} {each.where}" for each in found.missing]
    assert lines == (ADOPTED / f"{name}.missing").read_text().splitlines()
    assert all(each.seen and each.fix for each in found.missing)


@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_written_is_the_project_that_was_proposed(name: str, tmp_path: Path) -> None:
    found = adopt(copied(name, tmp_path))
    before = set(tmp_path.rglob("*"))
    write(found)
    assert set(tmp_path.rglob("*")) - before == {found.file}, "no other file, and none half-written"
    assert project.load(found.file.parent, {}) == found.project
    assert found.project.file == found.file


@pytest.mark.parametrize("name", FOLDERS)
def test_each_value_says_where_it_was_found_and_is_there(name: str, tmp_path: Path) -> None:
    base = copied(name, tmp_path)
    found = adopt(base)
    proposal = found.proposal
    tables = ("args", "hyperparameters", "channels", "metrics", "train_environment", "serve_environment")
    singles = (proposal.image, proposal.platform, proposal.dockerfile, proposal.sample, proposal.content_type)
    values = [each for table in tables for each in getattr(proposal, table).values()]
    for value in [*values, *filter(None, singles)]:
        file, _, line = value.where.partition(":")
        if line:
            assert int(line) <= len((base / file).read_text().splitlines()), value
        elif "/" in file or "." in file:
            assert (base / file).exists(), value
    for each in found.missing:
        file, _, line = each.where.partition(":")
        assert int(line or 1) <= len((base / file).read_text().splitlines()), each


def test_the_lines_are_those_of_the_values(tmp_path: Path) -> None:
    base = copied("aws-sample", tmp_path)
    for name, found in adopt(base).proposal.hyperparameters.items():
        file, _, line = found.where.partition(":")
        assert f'"{name}"' in (base / file).read_text().splitlines()[int(line) - 1]
    base = copied("mlflow-project", tmp_path)
    for name, found in adopt(base).proposal.hyperparameters.items():
        assert f" {name}:" in (base / "MLproject").read_text().splitlines()[int(found.where.partition(":")[2]) - 1]


@pytest.mark.parametrize("name", ["good", "wild", "probe", "batcher", "many", "actor", "perl"])
def test_sound_projects_have_no_false_alarms(name: str, tmp_path: Path) -> None:
    """What is said of them is true: no word of a failure file, or no `serve`; none does without on purpose."""
    true = {
        "wild": {"T-32"},
        "probe": {"H-01"},
        "batcher": {"T-01"},
        "many": {"T-01"},
        "actor": {"I-08"},
        "perl": {"T-32", "T-40"},
    }
    found = adopt(Path(shutil.copytree(SOUND / name, tmp_path / name)))
    assert {each.id for each in found.missing} == true.get(name, set())


@pytest.mark.parametrize("name", ["container", *(f"templates/{each}" for each in TEMPLATES)])
def test_our_own_projects_miss_nothing(name: str) -> None:
    found = adopt(REPOSITORY / name)
    assert not found.missing


def test_a_sound_project_misses_nothing(tmp_path: Path) -> None:
    assert not adopt(folder(tmp_path)).missing


# -- the image that a Dockerfile would make ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dockerfile", "ids"),
    [
        (DOCKERFILE, []),
        ("FROM python:3.11\nCOPY . /opt/program\nENV PATH=/opt/program:$PATH\n", []),
        ("FROM python:3.11\nENV PATH /opt/program:$PATH\nWORKDIR /opt/program\nCOPY . .\n", []),
        ("FROM python:3.11 AS a\nCOPY . /x/\nFROM a\nCOPY --from=a /x/train /x/serve /usr/bin/\n", []),
        ('ARG B=python:3.11\nFROM $B\nARG TO=/usr/local/bin/\nCOPY ["train", "serve", "${TO}"]\n', []),
        ("FROM python:3.11\nCOPY t* s* /usr/local/bin/\n", []),
        ("FROM python:3.11\nCOPY train /usr/local/bin\nCOPY serve /usr/bin\n", []),
        ("FROM python:3.11\nCOPY train serve /usr/local/bin/\nCOPY *.none /opt/\n", []),
        ("FROM python:3.11\nCOPY <<EOF /usr/local/bin/train\nEOF\nCOPY serve /usr/bin/\n", []),
        ("FROM python:3.11\nCOPY train serve /srv/\n", ["T-01", "H-01"]),
        ("FROM python:3.11\nCOPY train /usr/local/bin/\n", ["H-01"]),
        ("FROM python:3.11\n", ["T-01", "H-01"]),
        # What is made where nobody sees it.
        ("FROM my/base\n", []),
        ("FROM python:3.11\nRUN make && cp out/train out/serve /usr/local/bin/\n", []),
        ("FROM python:3.11\nRUN pip install sagemaker-training sagemaker-inference\n", []),
        (
            "FROM golang AS b\nRUN go build -o /x\nFROM debian\nCOPY --from=b /x /usr/bin/train\nCOPY serve /usr/bin/",
            [],
        ),
        ("FROM golang AS b\nRUN make\nFROM debian\nCOPY --from=b /out/ /usr/local/bin/\n", []),
        ("FROM golang AS b\nRUN make\nFROM debian\nCOPY --from=b /out /srv\n", ["T-01", "H-01"]),
        ("FROM python:3.11\nADD programs.tar.gz /opt/program\nENV PATH=/opt/program:$PATH\n", []),
        ("FROM python:3.11\nRUN chmod +x /usr/local/bin/train\n", ["T-01", "H-01"]),
        # How it is started.
        (DOCKERFILE + 'ENTRYPOINT ["python", "/srv/app.py"]\n', ["T-01", "H-01"]),
        (DOCKERFILE + "ENTRYPOINT train\n", ["T-06"]),
        (DOCKERFILE + 'ENTRYPOINT ["tini"]\n', ["T-07"]),
        (DOCKERFILE + 'ENTRYPOINT ["tini", "--"]\n', ["T-07"]),
        (DOCKERFILE + "USER 1000\n", ["T-60"]),
        (DOCKERFILE + "USER 1000\nUSER root\n", []),
        (DOCKERFILE + "VOLUME /opt/ml/model\n", ["I-12"]),
        (DOCKERFILE + "STOPSIGNAL SIGKILL\n", ["I-12"]),
        (DOCKERFILE + "LABEL com.amazonaws.sagemaker.capabilities.multi-model=true\n", ["I-14"]),
        (DOCKERFILE + "COPY train /opt/ml/model/weights\n", ["I-08"]),
        # The build itself.
        ("ARG B\nFROM $B\n", [""]),
        ("ARG B\nFROM ${B:-python:3.11}\nCOPY train serve /usr/local/bin/\n", []),
        (DOCKERFILE + "COPY nothing /\n", [""]),
    ],
)
def test_a_dockerfile_is_judged_by_the_rules_of_check(dockerfile: str, ids: list[str], tmp_path: Path) -> None:
    made = folder(tmp_path, Dockerfile=dockerfile, programs_dot_tar_dot_gz="")
    assert [each.id for each in adopt(made).missing] == ids


def test_a_program_that_copy_does_not_find_is_one_finding(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "train").unlink()
    assert missing(adopt(made)) == [("", "Dockerfile:2")]


def test_findings_point_at_the_line_of_the_dockerfile(tmp_path: Path) -> None:
    text = DOCKERFILE + "# a comment\nUSER \\\n  1000\nVOLUME /opt/ml/model\nCOPY train /opt/ml/model/weights\n"
    assert missing(adopt(folder(tmp_path, Dockerfile=text))) == [
        ("T-60", "Dockerfile:4"),
        ("I-08", "Dockerfile:7"),
        ("I-12", "Dockerfile:6"),
    ]


def test_a_mode_is_judged_as_the_build_leaves_it(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "train").chmod(0o644)
    assert missing(adopt(made)) == [("I-06", "train:1")]
    (made / "Dockerfile").write_text(DOCKERFILE + "RUN chmod +x /usr/local/bin/train\n")
    assert not adopt(made).missing
    (made / "Dockerfile").write_text("FROM python:3.11\nCOPY --chmod=755 train serve /usr/local/bin/\n")
    assert not adopt(made).missing


def test_windows_line_ends_are_seen_unless_the_build_mends_them(tmp_path: Path) -> None:
    made = folder(tmp_path, train=TRAIN.replace("\n", "\r\n"))
    found = adopt(made).missing
    assert [each.id for each in found] == ["I-06"]
    assert "CRLF" in found[0].seen
    (made / "Dockerfile").write_text(DOCKERFILE + "RUN sed -i 's/\\r$//' /usr/local/bin/train\n")
    assert not adopt(made).missing


def test_a_program_that_is_executable_here_but_not_in_git(tmp_path: Path) -> None:
    made = folder(tmp_path)
    for words in (["init", "-q"], ["add", "."], ["update-index", "--chmod=-x", "train"]):
        subprocess.run(["git", *words], cwd=made, check=True)
    found = adopt(made).missing
    assert [(each.id, each.fix) for each in found] == [("I-06", "git update-index --chmod=+x train")]


def test_a_serve_is_made_of_what_cmd_starts(tmp_path: Path) -> None:
    text = "FROM python:3.11\nCOPY train /usr/local/bin/\nCOPY serve app.py\nCMD gunicorn -b 127.0.0.1:5000 app:app\n"
    found = adopt(folder(tmp_path, Dockerfile=text)).missing
    fix = next(each.fix for each in found if each.id == "H-01")
    assert fix.splitlines()[0] == (
        r"printf '#!/bin/sh\nexec gunicorn -b 0.0.0.0:8080 app:app\n' > serve && chmod +x serve"
    )


def test_a_dockerignore_is_wanted_where_the_image_would_get_what_is_no_part_of_it(tmp_path: Path) -> None:
    text = "FROM python:3.11\nENV PATH=/opt/program:$PATH\nCOPY . /opt/program\n"
    made = folder(tmp_path, Dockerfile=text, data__rows_dot_csv="1\n", notebooks__a_dot_ipynb="{}")
    (found,) = adopt(made).missing
    assert (found.id, found.where, found.blocks) == ("", "Dockerfile:3", False)
    subprocess.run(found.fix, shell=True, check=True, cwd=made)
    assert not adopt(made).missing
    assert (made / ".dockerignore").read_text() == "**/__pycache__\ndata\nnotebooks\n"


# -- the sources of the programs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "ids"),
    [
        (TRAIN.replace("/output/failure", "/output/x"), ["T-32"]),
        (TRAIN.replace("/output/failure", "/failure"), ["T-34"]),
        (TRAIN.replace("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", ""), ["T-40"]),
        (TRAIN + 'lr = hp.get("lr", 0.1)\n', ["T-12"]),
        (TRAIN + 'lr = float(hp.get("lr", 0.1))\n', []),
        (TRAIN + 'lr = hp.get("lr", 0.1)\nlr = float(lr)\n', []),
        (TRAIN + 'lr = hp.get("lr", "0.1")\n', []),
        (TRAIN + 'lr = hp.get("lr", None)\n', []),
        (TRAIN + '# lr = hp.get("lr", 0.1)\n', []),
        ("#!/usr/bin/env python3\nimport signal\nsignal.signal(signal.SIGTERM, print)\nfailure = 1\n", ["T-45"]),
        ("#!/usr/bin/env python3\nimport os\nos.environ['SM_MODEL_DIR']  # failure SIGTERM signal.signal\n", ["T-29"]),
        ("#!/bin/sh\ntrap 'exit 0' TERM\n: > /opt/ml/output/failure\n", []),
        ("#!/bin/sh\n# failure\nexec java -jar train.jar /opt/ml\n", []),
        ("#!/bin/sh\n# failure\njava -jar train.jar /opt/ml\n", ["T-40"]),
        ("#!/usr/bin/perl\n", ["T-32", "T-45"]),
        (TRAIN + 'hp = {k: float(v) for k, v in hp.items()}\nlr = hp.get("lr", 0.1)\n', []),
    ],
)
def test_what_the_sources_of_train_lack(train: str, ids: list[str], tmp_path: Path) -> None:
    assert [each.id for each in adopt(folder(tmp_path, train=train)).missing] == ids


@pytest.mark.parametrize(
    ("serve", "ids"),
    [
        (SERVE.replace('"/ping"', '"/health"'), ["H-10"]),
        (SERVE.replace('"/invocations"', '"/predict"'), ["H-15"]),
        (SERVE.replace("0.0.0.0", "127.0.0.1"), ["H-12"]),
        (SERVE.replace("0.0.0.0", "localhost"), ["H-12"]),
        (SERVE.replace('host="0.0.0.0", port=8080', ""), ["H-12"]),
        (SERVE.replace('host="0.0.0.0", ', ""), ["H-12"]),
        (SERVE.replace("8080", "5000"), ["H-12"]),
        (SERVE.replace("8080", 'int(os.environ["SAGEMAKER_BIND_TO_PORT"])'), []),
        (SERVE + '# app.run(host="127.0.0.1", port=8080)\n', []),
        (SERVE + 'redis.Redis(host="localhost", port=6379)\n', []),
        (SERVE.replace('"/ping"', '"/<path:path>"'), []),
        (SERVE + 'requests.get("http://localhost:8501/v1")\n', []),
        (SERVE.replace("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", ""), ["H-07"]),
        ("#!/bin/sh\nexec gunicorn --bind 0.0.0.0:8080 app:app\n", []),
        ("#!/bin/sh\nexec gunicorn --bind 127.0.0.1:8080 app:app\n", ["H-12"]),
        ("#!/bin/sh\nexec gunicorn --bind 0.0.0.0:5000 app:app\n", ["H-12"]),
        ("#!/bin/sh\ngunicorn --bind 0.0.0.0:8080 app:app\n", ["H-07"]),
        ("#!/usr/bin/env python3\nimport uvicorn\nuvicorn.run('a:a', host='0.0.0.0', port=8080)\n", []),
    ],
)
def test_what_the_sources_of_serve_lack(serve: str, ids: list[str], tmp_path: Path) -> None:
    assert [each.id for each in adopt(folder(tmp_path, serve=serve)).missing] == ids


def test_a_folder_that_the_configuration_names_is_no_finding(tmp_path: Path) -> None:
    train = "#!/usr/bin/env python3\nimport os, signal  # failure\nsignal.signal\nos.environ['MODEL']\n"
    made = folder(tmp_path, train=train)
    assert [each.id for each in adopt(made).missing] == ["T-45"]
    (made / "Dockerfile").write_text(DOCKERFILE + "ENV MODEL=/opt/ml/model\n")
    assert not adopt(made).missing


def test_who_is_pid_1_of_a_base_that_nobody_knows_is_not_told(tmp_path: Path) -> None:
    train = TRAIN.replace("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", "")
    made = folder(tmp_path, train=train, Dockerfile=DOCKERFILE.replace("python:3.11", "my/base"))
    assert not adopt(made).missing


def test_a_word_of_it_in_what_a_program_imports_is_enough(tmp_path: Path) -> None:
    text = "FROM python:3.11\nCOPY train serve *.py /usr/local/bin/\n"
    train = "#!/usr/bin/env python3\nfrom job import run\nrun()\n"
    made = folder(tmp_path, Dockerfile=text, train=train, job_dot_py=TRAIN)
    assert not adopt(made).missing
    (made / "job.py").rename(made / "other.py")
    assert [each.id for each in adopt(made).missing] == ["T-32", "T-40", "T-45"]


def test_what_is_started_is_found_among_very_many_files(tmp_path: Path) -> None:
    made = folder(tmp_path, Dockerfile="FROM python:3.11\nENV PATH=/z/bin:$PATH\nCOPY . /z/bin\n", train="#!/bin/sh\n")
    for number in range(1100):
        (made / f"a{number}.py").touch()
    assert [each.id for each in adopt(made).missing] == ["T-32", "T-40", "T-45"]


def test_a_fix_is_the_line_to_write(tmp_path: Path) -> None:
    train = TRAIN + "def go():\n    steps = hp.get('steps', 10)  # long\n"
    (found,) = adopt(folder(tmp_path, train=train)).missing
    assert (found.where, found.fix) == ("train:7", "steps = int(hp.get('steps', 10))")


# -- proposals ---------------------------------------------------------------------------------------------------------


def test_what_train_names_stands_there_as_comments(tmp_path: Path) -> None:
    train = TRAIN + 'channel = "/opt/ml/input/data/images"\nsteps = int(hp.get("steps", 10))\n'
    found = adopt(folder(tmp_path, train=train))
    assert '# images = "data/images"  # train:6 reads this channel: say where its data is' in found.text
    assert '# steps = "…"  # train:7 reads it' in found.text
    assert not found.project.train.channels
    assert not found.project.train.hyperparameters


@pytest.mark.parametrize(
    ("name", "line", "image"),
    [
        ("build.sh", "docker build -t me/model:v1 .", "me/model:v1"),
        ("build.sh", "docker buildx build --platform linux/arm64 --tag model --push .", "model"),
        ("Makefile", "IMAGE := fraud-model", "fraud-model"),
        ("push.sh", "image_name=123456789012.dkr.ecr.us-east-1.amazonaws.com/fraud:latest", "fraud"),
        ("build.sh", "image=$1", "my-model"),
        ("build.sh", "docker build -t ${image} .", "my-model"),
    ],
)
def test_the_image_is_named_as_scripts_name_it(name: str, line: str, image: str, tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / name).write_text(f"#!/bin/sh\n{line}\n")
    found = adopt(made)
    assert found.project.image == image
    assert found.proposal.image.where == ("the folder's name" if image == "my-model" else f"{name}:2")
    assert found.project.platform == ("linux/arm64" if "arm64" in line else "linux/amd64")


def test_the_context_is_where_copy_finds_its_files(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "docker").mkdir()
    (made / "Dockerfile").rename(made / "docker" / "Dockerfile")
    found = adopt(made)
    assert (found.proposal.root, found.project.build.dockerfile) == (made, "docker/Dockerfile")
    assert not found.missing
    for name in ("train", "serve"):
        (made / name).rename(made / "docker" / name)
    found = adopt(made)
    assert (found.proposal.root, found.project.build.dockerfile) == (made / "docker", "Dockerfile")


def test_of_several_dockerfiles_the_taken_one_is_named_and_another_can_be_chosen(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "Dockerfile").rename(made / "Dockerfile.train")
    (made / "Dockerfile.serve").write_text(DOCKERFILE)
    (made / "Dockerfile.serve.dockerignore").write_text("x\n")
    found = adopt(made)
    assert found.project.build.dockerfile == "Dockerfile.serve"
    assert found.proposal.notes == [
        "Dockerfile.serve was taken; there is also Dockerfile.train: byoc adopt --dockerfile Dockerfile.train"
    ]
    chosen = adopt(made, dockerfile=Path("Dockerfile.train"))
    assert (chosen.project.build.dockerfile, chosen.proposal.notes) == ("Dockerfile.train", [])


def test_of_several_sources_the_first_is_taken_and_another_can_be_chosen(tmp_path: Path) -> None:
    made = folder(tmp_path, cog_dot_yaml="predict: p.py:P\n", MLproject="name: other\n")
    found = adopt(made)
    assert (found.taken.name, [name for name, _ in found.others]) == ("cog", ["mlflow-project"])
    assert adopt(made, source="mlflow-project").project.image == "other"
    assert adopt(made, source="dockerfile").taken.name == "dockerfile"
    with pytest.raises(UsageError, match=r"nothing in .* is of that kind"):
        adopt(made, source="sagify")


def test_the_image_of_an_mlflow_project_is_its_docker_env_s_only_where_that_is_built_here(tmp_path: Path) -> None:
    made = folder(tmp_path, MLproject="name: Wine\ndocker_env:\n  image: me/env\n  environment: [[A, b], HOME]\n")
    found = adopt(made)
    assert (found.project.image, found.project.train.environment) == ("me/env", {"A": "b"})
    (made / "Dockerfile").unlink()
    found = adopt(made)
    assert found.project.image == "wine"
    assert "FROM me/env\n" in found.missing[0].fix


@pytest.mark.parametrize(
    "value",
    ["plain", 'a "quoted" one', "back\\slash", "it's", "a\nb\t\x00\x7f", "grüezi 🐈", "'''", "\\d+ 'x'", ""],
)
def test_any_text_survives_the_file(value: str, tmp_path: Path) -> None:
    found = Found(value, "a\nb:1")
    proposal = Proposal(
        "a test",
        tmp_path,
        Found("image"),
        hyperparameters={"a": found, "b c": found, 'd"e': found},
        asides=[Aside("train.channels", 'x = "…"', "a\nb")],
    )
    text = toml.render(proposal)
    assert tomllib.loads(text)["train"]["hyperparameters"] == {"a": value, "b c": value, 'd"e': value}
    assert toml.parse(text, tmp_path).train.hyperparameters["a"] == value


# -- what cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("Dockerfile", b"\xff\xfeF\x00R\x00", "is UTF-16"),
        ("Dockerfile", b"\x00\x01\x02", "it is binary"),
        ("Dockerfile", b"FROM x\n# \xe9\n", "line 2\nit is not UTF-8"),
        ("Dockerfile", b"RUN x\n", "has no FROM"),
        ("Dockerfile", b"#" * (1 << 20) + b"\n", "more than 1 MB"),
        (".sagify.json", b'{"image_name": "x",\n}', "line 2\nit is not JSON"),
        (".sagify.json", b"[]", "it is no JSON object"),
        (".sagify.json", b'{\n"image_name": 1, "sagify_module_dir": "."}', "there is no ./sagify_base/Dockerfile"),
        (".sagify.json", b'{\n"sagify_module_dir": 1}', "line 2\nsagify_module_dir is not a text"),
        ("cog.yaml", b"build:\n  gpu: [\n", "line 3\nit is not YAML"),
        ("cog.yaml", b"a: 1\nbuild: 3\n", "line 2\nbuild is not a table"),
        ("cog.yaml", b"", "it is no YAML mapping"),
        ("cog.yaml", b"a: " + b"[" * 5000, "nested too deeply"),
        ("MLproject", b"name: x\nentry_points: [1]\n", "line 2\nentry_points is not a table"),
        ("MLmodel", b"flavors: 1\n", "line 1\nflavors is not a table"),
        ("container/local_test/test_dir/input/config/hyperparameters.json", b"{,}", "line 1\nit is not JSON"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    if "local_test" in name:
        (tmp_path / "container").mkdir()
        (tmp_path / "container" / "Dockerfile").write_text("FROM x\n")
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(ByocError) as raised:
        adopt(tmp_path)
    assert words in raised.value.message
    assert file.name in raised.value.message
    assert raised.value.hint


def test_a_context_with_odd_files_is_read(tmp_path: Path) -> None:
    made = folder(tmp_path, Dockerfile="FROM python:3.11\nENV PATH=/a:$PATH\nCOPY . /a\n")
    (made / "loop").symlink_to(made / "loop")
    (made / "gone").symlink_to("nowhere")
    (made / "bytes.py").write_bytes(bytes(range(256)))
    (made / "large.py").write_bytes(b"x = 1\n" * 100_000)
    (made / "empty.py").touch()
    assert not adopt(made).missing


def test_hyperparameters_are_spelled_as_sagemaker_would_be_given_them(tmp_path: Path) -> None:
    made = folder(tmp_path)
    file = made / "local_test/test_dir/input/config/hyperparameters.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"a": "1", "b": 0.5, "c": True, "d": [1], "e": None, "f": '"x"'}))
    found = adopt(made)
    assert found.project.train.hyperparameters == {"a": "1", "b": "0.5", "c": "true", "f": '"x"'}
    assert len(found.proposal.notes) == 2


def test_a_place_that_cannot_be_written_is_the_machine_s_fault(tmp_path: Path) -> None:
    found = adopt(folder(tmp_path))
    shutil.rmtree(found.file.parent)
    with pytest.raises(MachineError, match=r"byoc.toml cannot be written\nNo such file"):
        write(found)
