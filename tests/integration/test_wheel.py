"""What users install: the wheel, built from the source archive, has all templates and nothing that git ignores."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from byoc_cli import templates
from tests.integration.world import REPOSITORY, environment

pytestmark = pytest.mark.integration

INTO_THE_BUILD = ("byoc_cli", "scripts", "templates", "container", "pyproject.toml", "README.md", "LICENSE",
                  "CHANGELOG.md", ".gitignore")  # fmt: skip


def run(*words: str | Path, cwd: Path, **env: str) -> str:
    own = environment(env)
    ran = subprocess.run(words, cwd=cwd, env=own, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which somebody works: with runs, a data set, bytecode, a template that is just being written."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = run("git", "ls-files", "-zco", "--exclude-standard", *INTO_THE_BUILD, cwd=REPOSITORY).split("\0")
    for name in listed:
        if name and (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name, follow_symlinks=False)
    run("git", "init", "-q", cwd=folder)
    for name in (
        "container/data/cifar-10/train.tfrecords",
        "templates/minimal/.byoc/runs/a/model.tar.gz",
        "templates/minimal/__pycache__/model.pyc",
        "templates/new/Dockerfile",
        "templates/new/out/model",
        "templates/new/.gitignore",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("/out/\n")
    (folder / "templates/new/README.md").write_text("# new: just being written\n")
    return folder


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the wheel into."""
    dist, target = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, ".", cwd=checkout)
    (wheel,) = dist.glob("*.whl")
    words = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", target, wheel)
    run(sys.executable, "-m", "pip", "install", *words, cwd=dist)
    return target


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o100 for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_lists_the_templates_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    listed = run(sys.executable, "-m", "byoc_cli", "init", "--list", cwd=tmp_path, PYTHONPATH=str(installed))
    names = sorted([*(each.name for each in templates.available()), "new"])
    assert [line.split()[0] for line in listed.splitlines()[1:]] == names
    assert "new  " in listed
    assert "just being written" in listed


@pytest.mark.parametrize("name", [each.name for each in templates.available()])
def test_a_project_from_the_wheel_is_that_from_the_checkout(installed: Path, tmp_path: Path, name: str) -> None:
    assert (installed / "byoc_cli/_templates/minimal/__pycache__").is_dir(), "pip compiles, and that stays behind"
    words = (sys.executable, "-m", "byoc_cli", "init", "--template", name)
    run(*words, "from-wheel", cwd=tmp_path, PYTHONPATH=str(installed))
    run(*words, "from-checkout", cwd=tmp_path, PYTHONPATH=str(REPOSITORY))
    there = modes(tmp_path / "from-wheel")
    assert there == modes(tmp_path / "from-checkout")
    assert {".dockerignore", ".gitignore", ".github/workflows/byoc.yml"} <= there.keys()
    assert not [each for each in there if each.startswith((".byoc", "data/cifar-10")) or "__pycache__" in each]
    for each in there:
        assert (tmp_path / "from-wheel" / each).read_bytes() == (tmp_path / "from-checkout" / each).read_bytes()


def test_only_what_belongs_to_a_new_template_is_in_the_wheel(installed: Path) -> None:
    assert sorted(path.name for path in (installed / "byoc_cli/_templates/new").iterdir()) == [
        ".gitignore",
        "Dockerfile",
        "README.md",
    ]
