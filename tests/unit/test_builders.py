"""Which builder is taken: hand-made docker clients in folders of a PATH of our own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from byoc_cli.engine.builders import Builder, clients, find
from byoc_cli.errors import MachineError, UsageError

Client = Callable[..., str]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """`client("a", version="28.2.2", buildx="0.13.1")` makes folder a with a docker in it, and gives the folder."""

    def make(folder: str, *, version: str, buildx: str = "") -> str:
        script = tmp_path / folder / "docker"
        script.parent.mkdir()
        plugin = (
            f'echo "github.com/docker/buildx {buildx} abc"' if buildx else "echo is not a docker command >&2; exit 1"
        )
        script.write_text(
            f'#!/bin/sh\ncase "$1" in\n--version) echo "Docker version {version}";;\nbuildx) {plugin};;\nesac\n'
        )
        script.chmod(0o755)
        return str(script.parent)

    return make


def environment(*folders: str, **more: str) -> dict[str, str]:
    return {"PATH": ":".join(folders)} | more


def test_a_newer_client_without_buildx_hides_no_older_one_with_buildkit(client: Client) -> None:
    new, old = client("new", version="28.2.2"), client("old", version="20.10.24+dfsg1")
    assert find(environment(new, old)) == Builder("buildkit", f"{old}/docker", (20, 10, 24))


def test_buildx_anywhere_wins(client: Client) -> None:
    folders = (
        client("new", version="28.2.2"),
        client("old", version="20.10.24"),
        client("x", version="19.3.0", buildx="v0.13.1"),
    )
    assert find(environment(*folders)) == Builder("buildx", f"{folders[2]}/docker", (0, 13, 1))


def test_the_first_of_two_with_buildx(client: Client) -> None:
    first, second = client("a", version="20.10.0", buildx="0.11.2"), client("b", version="28.2.2", buildx="v0.29.1+x")
    assert find(environment(first, second)) == Builder("buildx", f"{first}/docker", (0, 11, 2))


@pytest.mark.parametrize("version", ["23.0.1", "18.6.3", "what?"])
def test_a_client_without_a_buildkit_of_its_own_leaves_the_classic_builder(client: Client, version: str) -> None:
    assert find(environment(client("a", version=version))) == Builder("classic")


@pytest.mark.parametrize("version", ["18.9.0", "19.03.15", "20.10.24", "22.6.0"])
def test_clients_with_a_buildkit_of_their_own(client: Client, version: str) -> None:
    assert find(environment(client("a", version=version))).kind == "buildkit"


def test_no_client_at_all_is_the_classic_builder(tmp_path: Path) -> None:
    assert find({"PATH": str(tmp_path)}) == Builder("classic")
    assert find({}) == Builder("classic")


@pytest.mark.parametrize("kind", ["buildx", "buildkit", "classic"])
def test_a_builder_can_be_forced(client: Client, kind: str) -> None:
    path = environment(client("a", version="20.10.24", buildx="0.13.1"), BYOC_BUILDER=kind)
    assert find(path).kind == kind


def test_a_forced_builder_that_is_no_builder(client: Client) -> None:
    with pytest.raises(UsageError, match="BYOC_BUILDER=kaniko is no builder") as caught:
        find(environment(client("a", version="20.10.24"), BYOC_BUILDER="kaniko"))
    assert caught.value.hint == "BYOC_BUILDER is one of: buildx, buildkit, classic"


@pytest.mark.parametrize("kind", ["buildx", "buildkit"])
def test_a_forced_builder_that_is_not_there(client: Client, kind: str) -> None:
    with pytest.raises(MachineError, match=f"there is no {kind} here, which BYOC_BUILDER asks for"):
        find(environment(client("a", version="28.2.2"), BYOC_BUILDER=kind))


def test_an_empty_environment_is_not_the_process_s_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", client("a", version="20.10.24"))
    assert find({}).kind == "classic"
    assert find().kind == "buildkit"


def test_each_client_is_counted_once(client: Client, tmp_path: Path) -> None:
    first = client("a", version="20.10.24")
    (tmp_path / "link").symlink_to(first)
    (tmp_path / "not-executable").mkdir()
    (tmp_path / "not-executable" / "docker").touch()
    (tmp_path / "folder" / "docker").mkdir(parents=True)
    folders = [first, "", str(tmp_path / "link"), str(tmp_path / "not-executable"), str(tmp_path / "folder"), first]
    assert clients(environment(*folders)) == [f"{first}/docker"]


def test_a_client_that_cannot_run_is_passed_over(client: Client, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "docker"
    broken.parent.mkdir()
    broken.write_bytes(b"\x7fELF no")
    broken.chmod(0o755)
    good = client("a", version="20.10.24")
    assert find(environment(str(broken.parent), good)).client == f"{good}/docker"


@pytest.mark.parametrize(
    ("builder", "name"),
    [
        (Builder("buildx", "/x/docker", (0, 13, 1)), "BuildKit (docker buildx 0.13.1, /x/docker)"),
        (Builder("buildkit", "/x/docker", (20, 10, 24)), "BuildKit (docker 20.10.24, /x/docker)"),
    ],
)
def test_a_builder_has_a_name_for_people(builder: Builder, name: str) -> None:
    assert str(builder) == name
    assert "install docker-buildx" in str(Builder("classic"))
