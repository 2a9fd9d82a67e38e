"""Before a build: what would go wrong is said, and what is missing is offered."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import UsageError
from byoc_cli.local.building import BuildOptions, build_project, stale
from byoc_cli.project import BuildSettings, Project
from tests.fakes import FakeEngine, Told
from tests.unit.test_build_progress import Seen

ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com"


class World:
    """A project, an engine, and a docker client that builds at once and remembers what it was told."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.bin = folder / "bin"
        self.root.mkdir()
        self.bin.mkdir()
        (self.bin / "docker").write_text(
            f'#!/bin/sh\nif [ "$2" = version ]; then echo v0.13.1; exit; fi\nprintf "%s\\n" "$@" > {self.bin}/words\n'
            f"cp $(sed -n 's/^id=pipconf,src=//p' {self.bin}/words) {self.bin}/pip.conf 2>/dev/null\nexit 0\n"
        )
        (self.bin / "docker").chmod(0o755)
        self.engine = FakeEngine(folder / "engine")
        self.engine.add_image("my-model:latest")
        self.told = Told()
        self.logins: list[str] = []

    def login(self, host: str) -> Credentials:
        self.logins.append(host)
        return Credentials("AWS", "s3cr3t")

    def build(self, dockerfile: str, options: BuildOptions | None = None, **build: object) -> list[str]:
        """Build, and give the words that the docker client was told."""
        (self.root / "Dockerfile").write_text(dockerfile)
        project = Project(self.root, "my-model", build=BuildSettings(**build))  # type: ignore[arg-type]
        engine = cast("DockerEngine", self.engine)
        build_project(engine, project, options or BuildOptions(), self.login, self.told, Seen())
        return (self.bin / "words").read_text().splitlines()

    @property
    def warned(self) -> list[str]:
        return [text for text, _ in self.told.warnings]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:/usr/bin:/bin")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    return made


def argument(words: list[str], name: str) -> str | None:
    found = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    return found[0] if found else None


# -- warnings ----------------------------------------------------------------------------------------------------------


def program(world: World, name: str, data: bytes, mode: int) -> None:
    (world.root / name).parent.mkdir(exist_ok=True)
    (world.root / name).write_bytes(data)
    (world.root / name).chmod(mode)


@pytest.mark.parametrize(
    ("dockerfile", "place"),
    [
        ("FROM x\nCOPY . /opt/ml/code\n", "/opt/ml/code/cifar10/train"),
        ("FROM x\nWORKDIR /opt\nCOPY cifar10 code/\n", "/opt/code/train"),
        ("FROM x\nCOPY ./cifar10/train /usr/bin/\n", "/usr/bin/train"),
        ("FROM x\nCOPY cifar10/train /usr/bin/go\n", "/usr/bin/go"),
        ('FROM x\nWORKDIR /w\nCOPY ["cifar10/train", "."]\n', "/w/train"),
        ("FROM x\n", "/path/to/train"),
    ],
)
def test_i06_a_missing_execute_bit_comes_with_the_line_to_add(world: World, dockerfile: str, place: str) -> None:
    program(world, "cifar10/train", b"#!/bin/sh\n", 0o644)
    world.build(dockerfile)
    assert world.told.warnings == [
        (
            "cifar10/train is not executable (I-06)",
            f"chmod +x cifar10/train, or add to the Dockerfile: RUN chmod +x {place}",
        )
    ]
    assert (world.root / "cifar10/train").stat().st_mode & 0o777 == 0o644, "nothing of the user's is changed"


def test_i06_windows_line_ends(world: World) -> None:
    program(world, "serve", b"#!/bin/sh\r\necho\r\n", 0o755)
    world.build("FROM x\nCOPY serve /usr/bin/serve\n")
    assert world.told.warnings == [
        (
            "serve has Windows line ends: its interpreter will not be found (I-06)",
            "convert it, or add to the Dockerfile: RUN sed -i 's/\\r$//' /usr/bin/serve",
        )
    ]


@pytest.mark.parametrize(
    ("data", "mode", "dockerfile"),
    [
        (b"#!/bin/sh\n", 0o755, "FROM x\n"),
        (b"#!/bin/sh\n", 0o644, "FROM x\nCOPY train /t\nRUN chmod 755 /t\n"),
        (b"#!/bin/sh\r\n", 0o755, "FROM x\nRUN dos2unix /t\n"),
        (b"print()\r\n", 0o755, "FROM x\n"),
        (b"", 0o755, "FROM x\n"),
    ],
)
def test_what_is_well_or_cared_for_is_no_warning(world: World, data: bytes, mode: int, dockerfile: str) -> None:
    program(world, "train", data, mode)
    world.build(dockerfile)
    assert world.warned == []


@pytest.mark.parametrize(
    ("dockerfile", "warned"),
    [
        ("FROM x\nCOPY train /usr/bin/\nRUN chmod +x /entrypoint.sh /trainer train.py\n", 2),
        ("FROM x\nCOPY train serve /usr/bin/\nRUN chmod +x /usr/bin/serve && dos2unix /usr/bin/serve\n", 2),
        ("FROM x\nCOPY train /usr/bin/\nRUN chmod +x /usr/bin/train && sed -i 's/\\r$//' /usr/bin/train\n", 0),
        ("FROM x\nCOPY . /app\nRUN chmod -R +x /app && dos2unix /app/*\n", 0),
        ("FROM x\nCOPY --chmod=755 train /usr/bin/\nRUN find / -name '*' -exec dos2unix {} +\n", 0),
    ],
)
def test_i06_a_remedy_for_another_file_is_none(world: World, dockerfile: str, warned: int) -> None:
    program(world, "train", b"#!/bin/sh\r\n", 0o644)
    world.build(dockerfile)
    assert len(world.warned) == warned


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        (BuildOptions(target="nosuch"), "there is no stage 'nosuch' in the Dockerfile", "its stages: one"),
        (BuildOptions(target="2"), "there is no stage '2' in the Dockerfile", "its stages: one"),
        (BuildOptions(platform="windows/amd64"), "--platform windows/amd64: that is no platform", "linux/amd64"),
        (BuildOptions(platform="amd64"), "--platform amd64: that is no platform", "linux/amd64"),
        (BuildOptions(tag=f"x@sha256:{'0' * 64}"), "names an image by its digest", "--tag my-model:v1"),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_builder_is_asked(
    world: World, options: BuildOptions, said: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        world.build("FROM x AS one\nFROM one\n", options)
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert not (world.bin / "words").exists()


def test_what_is_ignored_is_no_warning(world: World) -> None:
    program(world, "old/train", b"#!/bin/sh\r\n", 0o644)
    (world.root / ".dockerignore").write_text("old\n")
    world.build("FROM x\n")
    assert world.warned == []


def test_a_large_context_names_its_three_biggest(world: World) -> None:
    for name, size in (("data", 150), ("model", 60), ("notes", 2), ("small", 1)):
        with (world.root / name).open("wb") as file:
            os.truncate(file.fileno(), size * 1_000_000)
    world.build("FROM x\n")
    biggest = "data (150 MB), model (60 MB), notes (2 MB)"
    assert world.warned == [f"the build context has 213 MB and there is no .dockerignore; the biggest: {biggest}"]
    world.told.warnings.clear()
    (world.root / ".dockerignore").write_text("")
    world.build("FROM x\n")
    assert world.warned == [], "who has the file has thought about it"


@pytest.mark.parametrize(
    ("build", "why"), [({}, "byoc builds a Dockerfile"), ({"dockerfile": "docker/D"}, "byoc builds a Dockerfile")]
)
def test_no_dockerfile(world: World, build: dict[str, str], why: str) -> None:
    project = Project(world.root, "my-model", build=BuildSettings(**build))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there is no ") as caught:
        build_project(cast("DockerEngine", world.engine), project, BuildOptions(), world.login, world.told, Seen())
    assert why in caught.value.message


# -- the base image ----------------------------------------------------------------------------------------------------

BASE = "ARG BASE_IMAGE=python:3.11\nFROM ${BASE_IMAGE}\n"


def with_stand_in(world: World) -> None:
    world.engine.stand_ins["python:3.11"] = "byoc-base:bookworm"


def test_a_stand_in_is_offered_where_no_registry_answers(world: World) -> None:
    with_stand_in(world)
    assert argument(world.build(BASE), "BASE_IMAGE") == "byoc-base:bookworm"
    assert "no registry gives python:3.11: BASE_IMAGE=byoc-base:bookworm, the local stand-in" in world.told.logs


def registry_answers(world: World) -> None:
    world.engine.registry.add("python:3.11")


def image_is_here(world: World) -> None:
    world.engine.add_image("python:3.11")


@pytest.mark.parametrize("change", [registry_answers, image_is_here])
def test_the_real_base_is_taken_where_there_is_one(world: World, change: Callable[[World], None]) -> None:
    with_stand_in(world)
    change(world)
    assert argument(world.build(BASE), "BASE_IMAGE") is None


@pytest.mark.parametrize(
    ("dockerfile", "options", "args", "expected"),
    [
        ("FROM python:3.11\n", {}, {}, None),
        ("ARG OTHER=python:3.11\nFROM $OTHER\n", {}, {}, None),
        ("ARG BASE_IMAGE=debian\nFROM $BASE_IMAGE\n", {}, {}, None),
        (BASE, {"BASE_IMAGE": "mine"}, {}, "mine"),
        (BASE, {}, {"BASE_IMAGE": "debian"}, "debian"),
        (BASE, {}, {"BASE_IMAGE": "python:3.11"}, "byoc-base:bookworm"),
        ("ARG BASE_IMAGE=python:3.11\nFROM debian\n", {}, {}, None),
    ],
)
def test_only_where_the_dockerfile_asks_for_it(
    world: World, dockerfile: str, options: dict[str, str], args: dict[str, str], expected: str | None
) -> None:
    with_stand_in(world)
    words = world.build(dockerfile, BuildOptions(args=options), args=args)
    assert argument(words, "BASE_IMAGE") == expected


def test_a_base_in_ecr_is_logged_in_for(world: World) -> None:
    world.build(f"FROM {ECR}/pytorch:2 AS a\nFROM {ECR}/other:1\nCOPY --from=a / /\n")
    assert world.logins == [ECR]


@pytest.mark.parametrize("dockerfile", ["FROM python\n", f"FROM {ECR}/x:1 AS unused\nFROM python\n", "FROM ???\n"])
def test_no_login_without_need(world: World, dockerfile: str) -> None:
    world.build(dockerfile)
    assert world.logins == []


def test_a_base_that_is_here_needs_no_login_but_for_a_pull(world: World) -> None:
    world.engine.add_image(f"{ECR}/x:1")
    world.build(f"FROM {ECR}/x:1\n")
    assert world.logins == []
    world.build(f"FROM {ECR}/x:1\n", BuildOptions(pull=True))
    assert world.logins == [ECR]


# -- what is offered ---------------------------------------------------------------------------------------------------


def test_the_host_s_settings_are_offered_and_the_user_s_win(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "own.conf").write_text("own")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.com/simple")
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    words = world.build("FROM x\n")
    assert f"id=ca,src={tmp_path / 'ca.pem'}" in words
    assert (world.bin / "pip.conf").read_text().split() == ["[global]", "index-url", "=", "https://example.com/simple"]
    assert argument(words, "HTTPS_PROXY") == "http://p:1"
    words = world.build("FROM x\n", BuildOptions(secrets={"pipconf": tmp_path / "own.conf"}))
    assert f"id=pipconf,src={tmp_path / 'own.conf'}" in words


def test_the_pip_configuration_is_gone_after_the_build(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:s3cr3t@example.com/simple")
    words = world.build("FROM x\n")
    (secret,) = [word for word in words if word.startswith("id=pipconf")]
    assert not Path(secret.partition("src=")[2]).exists()
    assert "s3cr3t" not in "".join(log.read_text() for log in (world.root / ".byoc" / "builds").iterdir())


def test_the_command_line_wins_over_the_project(world: World) -> None:
    world.engine.add_image("other:v2")
    options = BuildOptions(args={"A": "1"}, tag="other:v2", target="t")
    words = world.build("ARG A\nFROM x AS t\n", options, args={"A": "2"})
    assert argument(words, "A") == "1"
    assert words[words.index("--tag") + 1] == "other:v2"
    assert words[words.index("--target") + 1] == "t"


def test_the_last_ten_logs_are_kept(world: World) -> None:
    for _ in range(12):
        world.build("FROM x\n")
    assert len(list((world.root / ".byoc" / "builds").iterdir())) == 10


# -- stale -------------------------------------------------------------------------------------------------------------


def test_an_image_is_stale_when_its_source_is_newer(world: World) -> None:
    (world.root / "Dockerfile").write_text("FROM x\n")
    os.utime(world.root / "Dockerfile", (1000, 1000))
    project = Project(world.root, "my-model")
    assert not stale(project, world.engine.add_image("a:1", tagged=1001))
    assert stale(project, world.engine.add_image("a:1", tagged=999))
    (world.root / ".byoc").mkdir()
    (world.root / ".byoc" / "new").touch()
    assert not stale(project, world.engine.add_image("a:1", tagged=1001)), "runs are no source"
