"""`byoc adopt`: what is printed where, what is written when, and what is never touched."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from byoc_cli import project
from tests.commands.conftest import Byoc

ADOPTED = Path(__file__).parents[1] / "adopted"


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: one in the shape of AWS's sample."""
    folder = Path(shutil.copytree(ADOPTED / "aws-sample", tmp_path / "aws-sample"))
    monkeypatch.chdir(folder)
    return folder


def test_without_a_terminal_it_is_printed_and_not_written(byoc: Byoc, sample: Path) -> None:
    ran = byoc("adopt")
    assert (ran.code, ran.stdout) == (0, (ADOPTED / "aws-sample.toml").read_text())
    assert not (sample / "container/byoc.toml").exists()
    assert "WARN T-40 MUST: it ends within 120 s of SIGTERM\n      at:   container/means/train:1\n" in ran.stderr
    assert ran.stderr.endswith("1 missing, as far as files tell\nnothing was written; --yes writes it\n")


def test_yes_writes_it_beside_the_dockerfile_and_says_what_comes_next(byoc: Byoc, sample: Path) -> None:
    ran = byoc("adopt", "--yes")
    file = sample / "container/byoc.toml"
    assert (ran.code, ran.stdout) == (0, file.read_text())
    assert ran.stderr.endswith(f"written: {file}\nnext: byoc build && byoc check\n")
    assert stat.S_IMODE(file.stat().st_mode) & 0o600 == 0o600
    loaded = project.load(sample, {})
    assert (loaded.root, loaded.image) == (sample / "container", "sagemaker-means")
    assert (loaded.root / loaded.train.channels["training"].source / "rows.csv").is_file()
    assert (loaded.root / loaded.predict.sample).is_file()


def test_a_folder_elsewhere(byoc: Byoc, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = byoc("adopt", "aws-sample", "--yes")
    assert ran.code == 0
    assert "next: cd aws-sample/container && byoc build && byoc check\n" in ran.stderr
    assert (sample / "container/byoc.toml").is_file()


def test_what_is_to_be_typed_can_be(byoc: Byoc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ADOPTED / "aws-sample", tmp_path / "ein häuschen")
    assert "next: cd 'ein häuschen/container' && byoc build" in byoc("adopt", "ein häuschen", "--yes").stderr
    (tmp_path / "no thing").mkdir()
    assert "hint: byoc init 'no thing'\n" in byoc("adopt", "no thing").stderr.replace(f"{tmp_path}/", "")


def test_a_table_that_is_there_is_told_before_anybody_says_yes(byoc: Byoc, sample: Path) -> None:
    (sample / "container/pyproject.toml").write_text('[tool.byoc]\nimage = "x"\n')
    end = f"--yes --overwrite writes it; {sample}/container/pyproject.toml with a [tool.byoc] is there already"
    assert end in byoc("adopt").stderr


def test_json_has_all_of_it(byoc: Byoc, sample: Path) -> None:
    ran = byoc("adopt", "--json")
    (missing,) = ran.data["missing"]
    assert {name: ran.data[name] for name in ("file", "written", "source", "toml")} == {
        "file": str(sample / "container/byoc.toml"),
        "written": False,
        "source": "aws-sample",
        "toml": (ADOPTED / "aws-sample.toml").read_text(),
    }
    assert "'layers' is no text" in ran.data["notes"][0]
    assert missing == {
        "id": "T-40",
        "level": "MUST",
        "result": "warn",
        "sentence": "it ends within 120 s of SIGTERM",
        "where": "container/means/train:1",
        "seen": "nothing in train handles SIGTERM, which PID 1 then ignores",
        "fix": "signal.signal(signal.SIGTERM, handler) early in `train`",
    }
    assert byoc("adopt", "--json", "--yes").data["written"] is True


def test_quiet_prints_the_text_alone(byoc: Byoc, sample: Path) -> None:
    ran = byoc("adopt", "-q")
    assert (ran.stdout, ran.stderr) == ((ADOPTED / "aws-sample.toml").read_text(), "")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("byoc.toml", 'image = "mine"\n', "byoc.toml is there already"),
        ("pyproject.toml", '[tool.byoc]\nimage = "mine"\n', "pyproject.toml has a [tool.byoc] already"),
    ],
)
def test_what_the_user_wrote_is_not_changed_unless_told(
    name: str, content: str, words: str, byoc: Byoc, sample: Path
) -> None:
    file = sample / "container" / name
    file.write_text(content)
    ran = byoc("adopt", "--yes")
    assert (ran.code, ran.stdout) == (2, "")
    assert f"{words}\nbyoc adopt does not change what you wrote\n\nhint: --dry-run" in ran.stderr
    assert byoc("adopt", "--dry-run").code == 0
    assert file.read_text() == content
    ran = byoc("adopt", "--yes", "--overwrite")
    assert ran.code == 0
    assert ("is not read any longer" in ran.stderr) == (name == "pyproject.toml")
    assert project.load(sample, {}).image == "sagemaker-means"
    assert name == "byoc.toml" or file.read_text() == content


def test_a_dry_run_writes_nothing_even_with_yes(byoc: Byoc, sample: Path) -> None:
    before = sorted(sample.rglob("*"))
    assert byoc("adopt", "--dry-run", "--yes").code == 0
    assert sorted(sample.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ((), "there is nothing to adopt in {}", "byoc init {}"),
        (("--from", "docker"), "--from docker: there is no such word", "--from sagify|aws-sample|cog"),
        (("--dockerfile", "x"), "--dockerfile x: there is no such file in {}", "name one"),
        (("nowhere",), "there is no folder 'nowhere'", "byoc adopt DIR"),
    ],
)
def test_nothing_to_adopt_is_wrong_usage(
    words: tuple[str, ...], error: str, hint: str, byoc: Byoc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    ran = byoc("adopt", *words)
    assert (ran.code, ran.stdout) == (2, "")
    assert f"error: {error.format(empty)}" in ran.stderr
    assert f"hint: {hint.format(empty)}" in ran.stderr


def test_a_file_in_the_place_of_a_folder(byoc: Byoc, sample: Path) -> None:
    ran = byoc("adopt", "container/Dockerfile")
    assert ran.code == 2
    assert "hint: byoc adopt container --dockerfile container/Dockerfile" in ran.stderr
    assert byoc("adopt", "container", "--dockerfile", "container/Dockerfile").code == 0


def test_a_file_that_cannot_be_read_is_no_wrong_usage(byoc: Byoc, sample: Path) -> None:
    file = sample / "container/local_test/test_dir/input/config/hyperparameters.json"
    file.write_text('{\n  "a": 1,\n}')
    ran = byoc("adopt", "--yes")
    assert (ran.code, ran.stdout) == (1, "")
    assert f"error: {file} cannot be read, line 3\nit is not JSON: " in ran.stderr
