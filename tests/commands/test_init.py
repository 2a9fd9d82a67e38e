"""`byoc init`, through main(), with the templates of this repository."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from byoc_cli import templates
from byoc_cli.commands.init import init
from byoc_cli.commands.options import Session
from byoc_cli.console import Console
from byoc_cli.errors import UsageError
from tests.commands.conftest import Byoc

NAMES = [template.name for template in templates.available()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def test_a_new_folder_and_what_to_type_next(byoc: Byoc, folder: Path) -> None:
    ran = byoc("init", "my model", "--template", "minimal")
    assert (ran.code, ran.stdout) == (0, "my model\n")
    assert ran.stderr.endswith("Next:\n\n  cd 'my model'\n  byoc build\n  byoc local-train\n  byoc serve --detach\n\n")
    assert (folder / "my model/byoc.toml").is_file()
    assert (folder / "my model/train").stat().st_mode & 0o100


def test_the_current_folder_needs_no_cd(byoc: Byoc, folder: Path) -> None:
    ran = byoc("init", "-t", "minimal", "--json")
    made = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert ran.data == {
        "template": "minimal",
        "folder": ".",
        "files": made,
        "next": ["byoc build", "byoc local-train", "byoc serve --detach"],
    }


def test_a_folder_that_looks_like_an_option(byoc: Byoc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "  cd ./-x\n" in byoc("init", "--template", "minimal", "--", "-x").stderr


def test_quiet_prints_the_path_only(byoc: Byoc) -> None:
    ran = byoc("init", "new", "-t", "minimal", "-q")
    assert (ran.code, ran.stdout, ran.stderr) == (0, "new\n", "")


def test_verbose_names_each_file(byoc: Byoc) -> None:
    assert "\ndata/iris.csv\n" in byoc("init", "new", "-t", "minimal", "-v").stderr


def test_list(byoc: Byoc, folder: Path) -> None:
    ran = byoc("init", "--list")
    assert ran.code == 0
    lines = ran.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["template", *NAMES]
    assert all(len(line.split()) > 3 for line in lines)
    assert [each["name"] for each in byoc("init", "--list", "--json").data] == NAMES
    assert all(each["about"] for each in byoc("init", "--list", "--json").data)
    assert list(folder.iterdir()) == []


def test_what_is_in_the_way_is_named(byoc: Byoc, folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    ran = byoc("init", "--template", "minimal")
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr == (
        "error: nothing is copied: in . there is already\n  README.md\n\n"
        "hint: move them, or give another folder: byoc init DIR\n"
    )
    assert [path.name for path in folder.iterdir()] == ["README.md"]


def test_an_unknown_template(byoc: Byoc, folder: Path) -> None:
    ran = byoc("init", "new", "--template", "minimum")
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr == "error: there is no template 'minimum'\n\nhint: did you mean 'minimal'?\n"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("where", "meant"), [("new", NAMES[0]), ("minimal", "minimal")])
def test_without_a_terminal_the_template_has_to_be_said(byoc: Byoc, folder: Path, where: str, meant: str) -> None:
    ran = byoc("init", where)
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"error: which template? there are {', '.join(NAMES)}\n\nhint: byoc init {where} --template {meant}\n"
    )
    assert list(folder.iterdir()) == []


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def ask(typed: str) -> tuple[str, str]:
    """Return (template, what was said) of `byoc init new` on a terminal."""
    said = Terminal()
    console = Console(stdin=Terminal(typed), stderr=said, stdout=io.StringIO())
    data = init(Session(console), "new", "", False).data
    return data["template"], said.getvalue()


@pytest.mark.parametrize(
    "typed", ["minimal\n", " MINIMAL \n", f"{NAMES.index('minimal') + 1}\n", "0\n99\nwhat\nminimal\n"]
)
def test_on_a_terminal_one_chooses_by_number_or_name(typed: str, folder: Path) -> None:
    template, said = ask(typed)
    assert template == "minimal"
    assert all(f"{name} " in said for name in NAMES)
    assert said.count("which template? [1-") == typed.count("\n")
    assert (folder / "new/train").is_file()


@pytest.mark.parametrize("typed", ["", "what\n"])
def test_who_goes_away_has_chosen_nothing(typed: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="nothing was chosen"):
        ask(typed)
    assert list(folder.iterdir()) == []
