"""The source of `byoc dev`: what goes into the tar, with which mode and owner, and what is said of a change."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from byoc_cli import project as projects
from byoc_cli.engine.types import ImageConfig
from byoc_cli.errors import UsageError
from byoc_cli.local.dev.archive import packed
from byoc_cli.local.dev.events import Events
from byoc_cli.local.dev.inside import Inside
from byoc_cli.local.dev.source import Source, no_source
from byoc_cli.local.dev.watching import SourceWatch
from byoc_cli.local.hosting import Definition, EndpointRequest
from byoc_cli.local.hosting.watching import Watch
from tests.fakes import FakeEngine, Told

DOCKERFILE = "FROM base\nCOPY train lib requirements.txt /app/\nRUN pip install -r /app/requirements.txt\n"


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> FakeEngine:
    return FakeEngine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "Dockerfile": DOCKERFILE,
        "byoc.toml": 'image = "my-model"\n',
        "train": "#!/bin/sh\n",
        "lib/a.py": "a = 1\n",
        "requirements.txt": "numpy\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def source_of(engine: FakeEngine, root: Path, config: ImageConfig | None = None) -> Source:
    contents = {"/app/train": b"", "/app/a.py": b""}
    image = engine.images.get("my-model:latest", (None,))[0] or engine.add_image(
        "my-model:latest", contents=contents, config=config
    )
    return Source(engine, projects.load(root), image)


def members(source: Source) -> dict[str, tarfile.TarInfo]:
    inside = Inside(source.engine, source.project, source.image)
    data = b"".join(packed(source.project.root, source.placement, inside))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


def test_a_script_is_executable_where_the_image_s_is(engine: FakeEngine, root: Path) -> None:
    (root / "train").chmod(0o644)
    (root / "lib" / "a.py").chmod(0o640)
    (root / "lib" / "new").write_text("#!/bin/sh\n")
    (root / "lib" / "new").chmod(0o644)
    found = members(source_of(engine, root))
    assert {name: oct(member.mode) for name, member in found.items() if name != "app/requirements.txt"} == {
        "app/train": "0o755",
        "app/a.py": "0o640",
        "app/new": "0o644",  # the image has none
    }
    assert engine.empty, "whoever was asked is gone"


def test_what_copy_says_of_modes_wins(engine: FakeEngine, root: Path) -> None:
    (root / "Dockerfile").write_text("FROM base\nCOPY --chmod=500 train /app/\n")
    assert oct(members(source_of(engine, root))["app/train"].mode) == "0o500"


def test_owners_are_those_of_the_image(engine: FakeEngine, root: Path) -> None:
    assert {(member.uid, member.gid) for member in members(source_of(engine, root)).values()} == {(0, 0)}
    (root / "Dockerfile").write_text("FROM base\nCOPY --chown=app train lib /app/\nCOPY requirements.txt /x/\n")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("a.py")
        member.uid, member.gid = 1000, 1001
        tar.addfile(member)
    engine.archives["/app/a.py"] = buffer.getvalue()
    found = members(source_of(engine, root))
    assert {name: (member.uid, member.gid) for name, member in found.items()} == {
        "app/a.py": (1000, 1001),
        "app/train": (1000, 1001),
        "x/requirements.txt": (0, 0),
    }


def test_links(engine: FakeEngine, root: Path) -> None:
    (root / "lib" / "link").symlink_to("a.py")
    (root / "named").symlink_to("train")
    (root / "Dockerfile").write_text("FROM base\nCOPY lib named /app/\n")
    found = members(source_of(engine, root))
    assert (found["app/link"].issym(), found["app/link"].linkname) == (True, "a.py")
    assert (found["app/named"].isfile(), found["app/named"].size) == (True, 10)


def test_no_place_of_the_platform_s(engine: FakeEngine, root: Path) -> None:
    (root / "Dockerfile").write_text("FROM base\nCOPY lib /opt/ml/model\nCOPY train /opt/ml/code/\n")
    assert set(members(source_of(engine, root))) == {"opt/ml/code/train"}


def test_the_folder_of_the_base_image(engine: FakeEngine, root: Path) -> None:
    (root / "Dockerfile").write_text("FROM base\nCOPY train .\n")
    assert set(members(source_of(engine, root, ImageConfig(working_folder="/work")))) == {"work/train"}
    engine.add_image("base:latest", config=ImageConfig(working_folder="/base"))
    (root / "Dockerfile").write_text("FROM base\nCOPY train .\nWORKDIR /later\n")
    assert set(members(source_of(engine, root))) == {"base/train"}


def test_a_stated_mount_that_is_not_there(engine: FakeEngine, root: Path) -> None:
    (root / "byoc.toml").write_text('image = "my-model"\n[dev]\nmounts = { nowhere = "/x" }\n')
    with pytest.raises(UsageError) as caught:
        source_of(engine, root)
    assert f"dev.mounts.nowhere is wrong\nthere is no {root / 'nowhere'}" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a.py~", ".a.py.swp", "4913", ".#a.py", "#a.py#", "__pycache__", "a.pyc", ".git", "a.py___jb_tmp___"]
)
def test_what_is_no_source(name: str) -> None:
    assert no_source(name)


@pytest.mark.parametrize("name", ["a.py", "train", ".env", "swp", "git", "49130", "a.tmp"])
def test_what_is_source(name: str) -> None:
    assert not no_source(name)


# -- changes -----------------------------------------------------------------------------------------------------------


@contextmanager
def watching(engine: FakeEngine, root: Path) -> Iterator[tuple[SourceWatch, Told]]:
    source = source_of(engine, root)
    said = Told()
    request = EndpointRequest("e", [Definition(source.image, "my-model:latest", None, source=source)])
    with Events() as events:
        yield SourceWatch(Watch(engine, source.project, request, [None]), source, events, said), said


def settle(watch: SourceWatch) -> str:
    return watch.settle(lambda: None, lambda: None)


def test_a_change_is_named(engine: FakeEngine, root: Path) -> None:
    with watching(engine, root) as (watch, said):
        assert settle(watch) == ""
        (root / "lib" / "a.py").write_text("a = 22\n")
        assert settle(watch) == "source (lib/a.py)"
        (root / "lib" / "b.py").write_text("")
        (root / "lib" / "b.pyc").write_text("")
        (root / "train").chmod(0o700)
        assert settle(watch) == "source (lib/b.py, train)"
        part = root / "lib" / "part~"
        part.write_text("a = 22\n")
        part.replace(root / "lib" / "a.py")
        assert settle(watch) == "source (lib/a.py)", "another inode, with the same words"
        assert said.warnings == []
        assert watch.renewed().containers[0].source


def test_what_needs_a_build_is_warned_of(engine: FakeEngine, root: Path) -> None:
    with watching(engine, root) as (watch, said):
        (root / "requirements.txt").write_text("scipy\n")
        assert settle(watch) == "", "nothing but an installation reads it"
        (root / "Dockerfile").write_text(DOCKERFILE + "ENV A=1\n")
        (root / "lib" / "a.py").unlink()
        assert settle(watch) == "source (lib/a.py)"
        assert [text for text, _ in said.warnings] == [
            "requirements.txt is used by `RUN pip install -r /app/requirements.txt`: its change needs a new image",
            "Dockerfile says how the image is built: its change needs a new image",
            "lib/a.py is gone here; what the build copied of it is still in the image",
        ]


def test_another_image_has_its_own_dockerfile(engine: FakeEngine, root: Path) -> None:
    with watching(engine, root) as (watch, _):
        (root / "Dockerfile").write_text("FROM base\nCOPY train /other/\n")
        assert settle(watch) == ""
        engine.add_image("my-model:latest")
        assert settle(watch) == "image"
        source = watch.renewed().containers[0].source
        assert source
        assert set(source.placement.files) == {"/other/train"}
        assert watch.renewed().containers[0].image.id == source.image.id


def test_a_dockerfile_that_is_half_written_when_another_image_is_there(engine: FakeEngine, root: Path) -> None:
    with watching(engine, root) as (watch, _):
        (root / "Dockerfile").write_text("")
        engine.add_image("my-model:latest")
        assert settle(watch) == "image"
        (root / "Dockerfile").write_text("FROM base\nCOPY train /other/\n")
        assert settle(watch) == ""
        source = watch.renewed().containers[0].source
        assert source
        assert set(source.placement.files) == {"/other/train"}


def test_an_event_says_when_to_look(engine: FakeEngine, root: Path) -> None:
    with watching(engine, root) as (watch, _):
        watch.look()
        before = watch.seen
        (root / "lib" / "a.py").write_text("a = 333\n")
        os.sync()
        for _ in range(1200):  # by an event, or by the clock
            if watch.look() != before:
                break
            watch._events.wait(0.05)
        assert watch.look() != before
