"""What `byoc serve --watch` looks at, and when it takes something for another."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli import project as projects
from byoc_cli.errors import UsageError
from byoc_cli.local import runs
from byoc_cli.local.hosting import Definition, EndpointRequest, model_of
from byoc_cli.local.hosting.watching import Watch
from byoc_cli.project import Project
from tests.fakes import FakeEngine


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "byoc.toml").write_text('image = "my-model"\n')
    return projects.load(tmp_path)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> FakeEngine:
    made = FakeEngine(tmp_path_factory.mktemp("engine"))
    made.add_image("my-model:latest")
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "weights").write_text("one")
    return folder


def watching(engine: FakeEngine, project: Project, given: str) -> Watch:
    image = engine.image("my-model:latest")
    assert image
    request = EndpointRequest("e", [Definition(image, "my-model:latest", model_of(project, given))])
    return Watch(engine, project, request, [given])


def settle(watch: Watch) -> str:
    return watch.accept(watch.settled(lambda: None, lambda: None))


def write(model: Path) -> None:
    (model / "1" / "weights").write_text("longer")


def rewrite_with_the_same_size(model: Path) -> None:
    (model / "1" / "weights").write_text("two")
    os.utime(model / "1" / "weights", ns=(1, 1))


def add(model: Path) -> None:
    (model / "2").touch()


def remove(model: Path) -> None:
    (model / "1" / "weights").unlink()


def replace_whole(model: Path) -> None:
    """As training scripts do: watching the folder itself would see nothing of the second one."""
    model.rename(model.with_name("old"))
    (model / "1").mkdir(parents=True)
    (model / "1" / "weights").write_text("one")


def turn_the_link(model: Path) -> None:
    """A folder `current` that is a symbolic link to one of several."""
    model.rename(model.with_name("v1"))
    model.symlink_to("v1")


@pytest.mark.parametrize(
    "change",
    [write, rewrite_with_the_same_size, add, remove, replace_whole, turn_the_link],
    ids=lambda each: each.__name__,
)
def test_a_model_that_is_another_one(
    engine: FakeEngine, project: Project, model: Path, change: Callable[[Path], None]
) -> None:
    watch = watching(engine, project, str(model))
    assert watch.look() == watch.seen
    change(model)
    assert watch.look() != watch.seen
    assert settle(watch) == "model"
    assert watch.renewed().containers[0].model == model.resolve()
    assert watch.look() == watch.seen, "it is told once"


def test_an_image_that_is_another_one(engine: FakeEngine, project: Project, model: Path) -> None:
    watch = watching(engine, project, str(model))
    new = engine.add_image("my-model:latest")
    assert settle(watch) == "image"
    assert watch.renewed().containers == [replace(watch.request.containers[0], image=new)]
    write(model)
    engine.add_image("my-model:latest")
    assert settle(watch) == "image and the model"


def test_an_image_that_has_no_name_for_a_while_is_no_other(engine: FakeEngine, project: Project, model: Path) -> None:
    watch = watching(engine, project, str(model))
    image = engine.images.pop("my-model:latest")
    assert watch.look() == watch.seen
    engine.images["my-model:latest"] = image
    assert watch.look() == watch.seen


def test_without_a_model_given_it_is_the_last_run_s(engine: FakeEngine, project: Project) -> None:
    watch = watching(engine, project, "")
    assert watch.request.containers[0].model is None
    for name in ("one", "two"):
        run = runs.create(project, name)
        run.model.mkdir()
        assert watch.look() == watch.seen, "it goes on"
        runs.point_latest(project, run)
        assert settle(watch) == "model"
        assert watch.renewed().containers[0].model == run.model
    (project.home / "latest").unlink()
    assert watch.look() == watch.seen, "no run is no other model"


def test_a_model_that_is_being_written_is_waited_for(engine: FakeEngine, project: Project, model: Path) -> None:
    watch = watching(engine, project, str(model))
    sizes = iter([10, 20, 30, 40, 50])
    pauses: list[int] = []
    told = []

    def pause() -> None:
        pauses.append(1)
        if size := next(sizes, None):
            (model / "1" / "weights").write_text("x" * size)

    assert watch.accept(watch.settled(pause, lambda: told.append(len(pauses)))) == "model"
    assert len(pauses) == 6, "five writes, and one look that sees no other"
    assert told == [4], "it is said once that something is waited for"


def test_a_change_that_is_undone_is_none(engine: FakeEngine, project: Project, model: Path) -> None:
    watch = watching(engine, project, str(model))
    before = (model / "1").stat(), model.stat()
    weights = model / "1" / "weights"
    weights.rename(model / "1" / "away")
    assert watch.look() != watch.seen
    (model / "1" / "away").rename(weights)
    os.utime(model / "1", ns=(0, before[0].st_mtime_ns))
    assert settle(watch) == ""


def test_a_model_that_is_none_any_more(engine: FakeEngine, project: Project, tmp_path: Path, model: Path) -> None:
    watch = watching(engine, project, str(model))
    model.rename(tmp_path / "elsewhere")
    assert settle(watch) == "model"
    with pytest.raises(UsageError, match="there is no model at"):
        watch.renewed()


def test_of_several_containers_it_is_said_whose(engine: FakeEngine, project: Project, model: Path) -> None:
    image, other = engine.add_image("one:latest"), engine.add_image("two:latest")
    request = EndpointRequest(
        "e",
        [
            Definition(image, "one:latest", None, hostname="container-1"),
            Definition(other, "two:latest", model, hostname="container-2"),
        ],
    )
    watch = Watch(engine, project, request, [None, str(model)])
    write(model)
    assert settle(watch) == "model of container-2"
    new = engine.add_image("one:latest")
    write(model)
    add(model)
    assert settle(watch) == "image of container-1 and the model of container-2"
    assert [(each.image, each.model) for each in watch.renewed().containers] == [(new, None), (other, model)]
