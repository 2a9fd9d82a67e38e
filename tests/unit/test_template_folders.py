"""What each folder of templates/ has to have; a new folder is looked at by itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from byoc_cli import project, templates
from byoc_cli.app import COMMANDS
from byoc_cli.project import Project
from byoc_cli.templates import Template

REPOSITORY = Path(__file__).parents[2]
MOST_BYTES = 700_000  # everybody who installs byoc has them
ABOUT = 80  # characters in `byoc init --list`
TYPED = ["byoc build", "byoc local-train", "byoc predict", "byoc stop", "byoc check"]

pytestmark = pytest.mark.parametrize("template", templates.available(), ids=lambda each: each.name)


def names(template: Template) -> list[str]:
    return [str(path) for path in templates.files(template.folder, REPOSITORY)]


def loaded(template: Template) -> Project:
    return project.load(template.folder.resolve(), {})


def test_it_has_all_that_a_project_needs(template: Template) -> None:
    needed = {"Dockerfile", "byoc.toml", "README.md", ".dockerignore", ".gitignore", ".github/workflows/byoc.yml"}
    assert needed <= set(names(template))
    assert not [name for name in names(template) if (template.folder / name).is_symlink()], "a wheel has no links"


def test_its_readme_says_what_it_is_and_what_to_type(template: Template) -> None:
    text = (template.folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {template.name}: ")
    assert 10 < len(template.about) < ABOUT
    words = dict.fromkeys(" ".join(command.split()[:2]) for command in template.commands)
    assert [word for word in words if word in TYPED] == TYPED, "in the order of the work"
    table = re.search(r"^\| file \|.*?\n\n", text, re.DOTALL | re.MULTILINE)
    assert table, "a table of the files"
    folder = template.folder.resolve()
    folders = [folder, *(path for path in folder.iterdir() if path.is_dir())]
    for first in re.findall(r"^\| (`.*?) \|", table[0], re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", first):
            assert any((each / name).exists() for each in folders), f"{name} is not there"


def test_its_project_file_is_valid_and_its_data_and_sample_are_there(template: Template) -> None:
    made, listed = loaded(template), names(template)
    assert made.image.partition(":")[0].endswith(template.name) or template.folder.is_symlink()
    assert made.predict.sample
    sample = Path(made.predict.sample)
    assert str(sample.relative_to(template.folder.resolve()) if sample.is_absolute() else sample) in listed
    assert made.train.metrics
    with (template.folder / "byoc.toml").open("rb") as file:
        channels: dict[str, Any] = tomllib.load(file)["train"]["channels"]
    given = " ".join(template.commands)
    for name, channel in channels.items():
        source = channel if isinstance(channel, str) else channel["source"]
        if said := re.search(rf"--channel {name}=(\S+)", given):
            source = said[1]
        assert [each for each in listed if each.startswith(source)], f"channel {name}: {source} is not committed"


def test_it_is_small(template: Template) -> None:
    sizes = {name: (template.folder / name).stat().st_size for name in names(template)}
    assert sum(sizes.values()) < MOST_BYTES, sizes


def test_its_workflow_is_yaml_that_types_byoc_commands(template: Template) -> None:
    workflow = yaml.safe_load((template.folder / ".github/workflows/byoc.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    typed = [line.strip() for step in steps for line in step.get("run", "").splitlines()]
    assert any(re.match(r"(python -m )?pip install .*\bbyoc\b", line) for line in typed)
    ours = [line.split()[1] for line in typed if line.startswith("byoc ")]
    assert [name for name in ours if name in {"build", "local-train", "check"}] == ["build", "local-train", "check"]
    assert set(ours) <= {name for name, *_ in COMMANDS}
    assert any(line.startswith("byoc check") and "--strict" in line and "--junit" in line for line in typed)
    assert all("@" in step["uses"] for step in steps if "uses" in step)
    assert workflow[True], "when it runs: YAML reads `on` as true"


def test_what_has_a_shebang_can_be_executed_in_git_too(template: Template) -> None:
    folder = template.folder.resolve()
    listed = subprocess.run(
        ["git", "-C", str(folder), "ls-files", "-s"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    modes = {line.partition("\t")[2]: line.split()[0] for line in listed}
    for name in names(template):
        content = (folder / name).read_bytes()
        if content.startswith(b"#!") and not name.endswith((".py", ".sh")):
            assert (folder / name).stat().st_mode & 0o111, f"{name}: chmod 755"
            assert modes.get(name, "100755") == "100755", f"{name}: git update-index --chmod=+x"
        assert b"\r\n" not in content or b"\0" in content, f"{name} has Windows line ends"


def test_its_dockerfile_builds_with_and_without_a_registry_and_buildkit(template: Template) -> None:
    text = (template.folder / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG BASE_IMAGE=(python:3\.11-slim-bookworm|debian:trixie-slim)$", text, re.MULTILINE)
    assert not re.search(r"^# *syntax=|^(COPY|ADD) .*--(chmod|link)|<<", text, re.MULTILINE), (
        "not the classic builder's"
    )
    for line in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)", text, re.MULTILINE):
        assert line.startswith("["), "exec form (T-06)"
    assert re.search(r"^USER ", text, re.MULTILINE) is None, "SageMaker needs root (T-60)"


def test_its_ignore_files_keep_runs_out_of_git_and_the_rest_out_of_the_build(template: Template) -> None:
    ignored = (template.folder / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".byoc/" in ignored
    kept_out = (template.folder / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in kept_out if line and not line.startswith("#")) == "*", "a list of what is allowed"


def test_its_python_is_typed(template: Template) -> None:
    """By mypy as strict as byoc's own, in its folder, where its modules find each other.

    Its libraries are not here, and what comes from them may be anything.
    """
    if template.folder.is_symlink():
        pytest.skip("it is checked with the rest")
    scripts = [name for name in names(template) if _is_python(template.folder / name)]
    if not scripts:
        pytest.skip("there is no Python in it")
    cache = REPOSITORY / ".mypy_cache" / "templates" / template.name
    words = ["--config-file", str(REPOSITORY / "pyproject.toml"), "--cache-dir", str(cache), "--scripts-are-modules"]
    words += ["--ignore-missing-imports", "--allow-subclassing-any", "--allow-untyped-decorators"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *words, *scripts],
        cwd=template.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _is_python(path: Path) -> bool:
    if path.suffix:
        return path.suffix == ".py"
    return re.match(rb"#!.*python", path.read_bytes()) is not None
