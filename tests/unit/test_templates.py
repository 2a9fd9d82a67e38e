"""What belongs to a template, and a copy of it that is whole or not there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from byoc_cli import templates
from byoc_cli.errors import ByocError, Interrupted, UsageError
from byoc_cli.templates import Template

REPOSITORY = Path(__file__).parents[2]
README = """# small: a sentence with a colon: and more

```console
$ byoc build       # how long this takes
$ byoc local-train --hyperparam 'a=#1'
said by the program
```

```console
$ byoc stop
```
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A checkout's `templates` with one template in it."""
    files = {
        "README.md": README,
        "Dockerfile": "FROM base\n",
        "train": "#!/bin/sh\n",
        ".dockerignore": "*\n",
        "data/deep/a.csv": "1\n",
    }
    write(tmp_path / "checkout/templates/small", files)
    (tmp_path / "checkout/templates/small/train").chmod(0o700)
    return tmp_path / "checkout/templates"


@pytest.fixture
def small(home: Path) -> Template:
    return templates.available(home)[0]


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


# -- which there are ---------------------------------------------------------------------------------------------------


def test_a_folder_is_a_template_and_its_readme_says_what_it_is(home: Path) -> None:
    write(home, {"bare/Dockerfile": "FROM base\n", ".hidden/Dockerfile": "", "a-file": "", "left/.byoc/latest": ""})
    bare, small = templates.available(home)
    assert (bare.name, bare.about, bare.commands) == ("bare", "", ())
    assert (small.name, small.about) == ("small", "a sentence with a colon: and more")
    assert small.commands == ("byoc build", "byoc local-train --hyperparam 'a=#1'")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("scikit_lern", "did you mean 'scikit-learn'?"),
        ("Minimal", "did you mean 'minimal'?"),
        ("tensorflow", "did you mean 'tensorflow-cifar10'?"),
        ("xyz", "there are minimal, scikit-learn, tensorflow-cifar10"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(name: str, hint: str) -> None:
    known = [Template(each, Path(each), "", ()) for each in ("minimal", "scikit-learn", "tensorflow-cifar10")]
    with pytest.raises(UsageError, match=f"there is no template '{name}'") as raised:
        templates.find(name, known)
    assert raised.value.hint == hint
    assert templates.find("minimal", known) is known[0]


# -- what belongs to one -----------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def names(folder: Path, top: Path) -> list[str]:
    return [str(path) for path in templates.files(folder, top)]


def test_what_git_ignores_stays_behind_also_in_a_folder_that_is_only_being_written(tmp_path: Path) -> None:
    files = {
        ".gitignore": "*.log\n/templates/t/rooted\nbuild/\n",
        "templates/t/.gitignore": "*.csv\n!good.csv\n",
        "templates/t/README.md": "# t: t\n",
        "templates/t/a.log": "",
        "templates/t/rooted/a": "",
        "templates/t/sub/rooted": "",
        "templates/t/build/a": "",
        "templates/t/bad.csv": "",
        "templates/t/good.csv": "",
        "templates/t/sub/.gitignore": "*\n!*/\n!wanted*\n!.gitignore\n",
        "templates/t/sub/other/wanted.log": "",
        "templates/t/sub/unwanted": "",
        "templates/t/.byoc/runs/model": "",
        "templates/t/kept.log": "",
        "templates/t/gone": "",
    }
    top = write(tmp_path / "repository", files)
    git(top, "init", "-q")
    git(top, "add", "-f", "templates/t/kept.log", "templates/t/gone")
    (top / "templates/t/gone").unlink()
    git(top, "config", "core.excludesFile", str(write(tmp_path, {"mine": ".DS_Store\n"}) / "mine"))
    write(top, {"templates/t/sub/.DS_Store": "", "templates/t/wanted \xfc\n.txt": ""})
    assert names(top / "templates/t", top) == [
        ".gitignore",
        "README.md",
        "good.csv",
        "kept.log",
        "sub/.gitignore",
        "sub/other/wanted.log",
        "wanted \xfc\n.txt",
    ]


def test_the_variables_of_a_git_hook_speak_of_another_repository(
    tmp_path: Path, home: Path, small: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(home.parent, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert names(small.folder, home.parent) == [".dockerignore", "Dockerfile", "README.md", "data/deep/a.csv", "train"]


def test_git_that_cannot_say_it(home: Path, small: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.parent / ".git").write_text("gitdir: nowhere\n")
    with pytest.raises(ByocError, match=r"git cannot say which files are in .*\nfatal: not a git repository"):
        templates.files(small.folder, home.parent)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ByocError, match="No such file or directory"):
        templates.files(small.folder, home.parent)


def test_without_git_all_is_taken_but_what_pip_and_byoc_have_made(home: Path, small: Template) -> None:
    write(home / "small", {"__pycache__/a.pyc": "", "data/__pycache__/b.pyc": "", ".byoc/latest/model": ""})
    assert names(small.folder, home.parent) == [".dockerignore", "Dockerfile", "README.md", "data/deep/a.csv", "train"]


def test_a_template_may_be_a_link_to_a_folder_elsewhere_in_the_repository(home: Path, tmp_path: Path) -> None:
    git(home.parent, "init", "-q")
    files = {".gitignore": "/container/data/\n", "container/data/big": "", "container/README.md": "# c: c\n"}
    files |= {"container/Dockerfile": ""}
    write(home.parent, files)
    (home / "linked").symlink_to("../container")
    (linked, _) = templates.available(home)
    assert (linked.name, linked.about) == ("linked", "c")
    assert templates.copy(linked, tmp_path / "new") == [Path("Dockerfile"), Path("README.md")]


@pytest.mark.parametrize("template", templates.available(), ids=lambda each: each.name)
def test_our_own_templates_can_be_told_from_what_lies_in_them(template: Template) -> None:
    made = names(template.folder, REPOSITORY)
    assert {"README.md", "Dockerfile", "byoc.toml", ".gitignore", ".dockerignore"} <= set(made)
    assert not [name for name in made if name.startswith((".byoc", "data/cifar-10"))]


# -- a copy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["new", "a/b/new", "here"])
def test_a_copy_is_the_template_into_a_new_folder_or_beside_what_is_there(
    tmp_path: Path, small: Template, target: str
) -> None:
    write(tmp_path / "here", {"mine": "mine", "data/mine": "mine"})
    made = templates.copy(small, tmp_path / target)
    found = tree(tmp_path / target)
    assert {name for name in found if not name.endswith("mine")} == {str(path) for path in made}
    assert all(found[str(path)] == (small.folder / path).read_text() for path in made)
    assert target != "here" or (found["mine"], found["data/mine"]) == ("mine", "mine")


def test_a_copy_can_be_executed_and_is_otherwise_as_the_umask_says(tmp_path: Path, small: Template) -> None:
    (small.folder / "README.md").chmod(0o400)
    before = os.umask(0o027)
    try:
        templates.copy(small, tmp_path / "new")
    finally:
        os.umask(before)
    modes = {name: (tmp_path / "new" / name).stat().st_mode & 0o777 for name in (".", "train", "README.md", "data")}
    assert modes == {".": 0o750, "train": 0o750, "README.md": 0o640, "data": 0o750}


def test_what_is_in_the_way_is_named_and_nothing_is_copied(tmp_path: Path, small: Template) -> None:
    here = write(tmp_path / "here", {"README.md": "mine", "data": "a file"})
    (here / "train").symlink_to("nowhere")
    with pytest.raises(UsageError) as raised:
        templates.copy(small, here)
    assert raised.value.message == f"nothing is copied: in {here} there is already\n  README.md\n  data\n  train"
    assert sorted(path.name for path in here.iterdir()) == ["README.md", "data", "train"]
    assert (here / "README.md").read_text() == "mine"


def test_nothing_is_written_through_a_link_to_another_folder(tmp_path: Path, small: Template) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here/data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"already\n  data$"):
        templates.copy(small, tmp_path / "here")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_many_files_in_the_way_are_counted(tmp_path: Path, home: Path) -> None:
    many = {f"file-{number:02}": "" for number in range(12)}
    write(home / "small", many)
    here = write(tmp_path / "here", many)
    with pytest.raises(UsageError, match=r"\n  file-07\n  and 4 more$"):
        templates.copy(templates.available(home)[0], here)


@pytest.mark.parametrize("below", [".", "a/b"])
@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_a_target_that_is_no_folder(tmp_path: Path, small: Template, kind: str, below: str) -> None:
    target = tmp_path / "target"
    target.write_text("mine") if kind == "file" else target.symlink_to("nowhere")
    with pytest.raises(UsageError, match="target is there already, and no folder"):
        templates.copy(small, target / below)


@pytest.mark.parametrize(
    "wrong", [OSError(28, "No space left on device", "train"), KeyboardInterrupt(), Interrupted(15)], ids=repr
)
@pytest.mark.parametrize("target", ["a/new", "here"])
def test_what_goes_wrong_in_the_middle_leaves_what_was_there(
    tmp_path: Path, small: Template, target: str, wrong: BaseException
) -> None:
    write(tmp_path / "here", {"mine": "mine"})
    before = {str(path) for path in tmp_path.rglob("*")}

    def last(name: str) -> None:
        if name == "train":
            raise wrong

    with pytest.raises(ByocError if isinstance(wrong, OSError) else type(wrong)):
        templates.copy(small, tmp_path / target, last)
    assert {str(path) for path in tmp_path.rglob("*")} == before


def test_a_file_that_comes_in_between_is_not_overwritten_and_not_removed(tmp_path: Path, small: Template) -> None:
    def somebody(name: str) -> None:
        if name == "README.md":
            (tmp_path / "new/train").write_text("mine")

    with pytest.raises(ByocError, match="File exists"):
        templates.copy(small, tmp_path / "new", somebody)
    assert tree(tmp_path / "new") == {"train": "mine"}
