"""What --help, --version and a slip of the fingers show; and how little they load."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from byoc_cli import __version__
from byoc_cli.app import COMMANDS
from tests.commands.conftest import Byoc

NAMES = [name for name, *_ in COMMANDS]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_starts_with_examples(byoc: Byoc, name: str, option: str) -> None:
    ran = byoc(*name.split(), option)
    lines = [line.strip() for line in ran.stdout.splitlines() if line.strip()]
    assert (ran.code, ran.stderr) == (0, "")
    assert lines[0].startswith(f"Usage: byoc {name}")
    assert lines[1] == "Examples:"
    assert lines[2].startswith(f"byoc {name}") or f"byoc {name}" in lines[2] + lines[3]
    assert any(line.startswith("--json") for line in lines)
    assert any(line.startswith("-q, --quiet") for line in lines)
    assert any(line.startswith("-v, --verbose") for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_help_documents_what_json_prints(byoc: Byoc, name: str) -> None:
    assert "With --json" in byoc(*name.split(), "--help").stdout


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_byoc_alone_lists_its_commands_and_examples_first(byoc: Byoc, words: list[str]) -> None:
    ran = byoc(*words)
    text = ran.stdout + ran.stderr
    assert re.search(r"^Usage: .*\n\n  Examples:\n", text)
    listed = text.partition("Commands:\n")[2]
    first = list(dict.fromkeys(name.split()[0] for name in NAMES))
    assert [line.split()[0] for line in listed.splitlines() if re.match(r"  \S", line)] == first


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_a_group_alone_lists_its_commands(byoc: Byoc, words: list[str]) -> None:
    ran = byoc("dev", *words)
    text = ran.stdout + ran.stderr
    assert (ran.code, ran.stdout == "") == ((0, False) if words else (2, True))
    assert re.search(r"^Usage: byoc dev .*\n\n  Examples:\n    byoc dev train\n", text)
    listed = text.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if re.match(r"  \S", line)] == ["train", "serve"]


def test_version(byoc: Byoc) -> None:
    ran = byoc("--version")
    assert (ran.code, ran.stdout, ran.stderr) == (0, f"byoc {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["biuld"], "'build'"),
        (["local_train"], "'local-train'"),
        (["build", "--tga", "x"], "--tag"),
        (["local-train", "--hyperparams", "a=1"], "--hyperparam"),
        (["serve", "--prot", "1"], "--port"),
        (["dev", "trian"], "'train'"),
        (["dev", "serve", "--prot", "1"], "--port"),
    ],
)
def test_a_slip_is_exit_code_2_with_a_suggestion(byoc: Byoc, words: list[str], suggestion: str) -> None:
    ran = byoc(*words)
    assert (ran.code, ran.stdout) == (2, "")
    assert re.fullmatch(r"error: no such (command|option).*\n\nhint: did you mean .*\?\n", ran.stderr)
    assert suggestion in ran.stderr.partition("hint: ")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["serve", "--port", "0"],
            "invalid value for '--port' (env var: 'BYOC_PORT'): 0 is not in the range 1<=x<=65535",
        ),
        (["serve", "--port", "x"], "invalid value for '--port' (env var: 'BYOC_PORT'): 'x' is not a whole number"),
        (["serve", "--startup-timeout", "x"], "invalid value for '--startup-timeout': 'x' is not a number"),
        (["batch"], "missing argument 'INPUT'"),
        (["logs", "--tail", "-1"], "invalid value for '--tail': -1 is not in the range x>=0"),
        (["ps", "extra"], "got unexpected extra argument(s) (extra)"),
        (["build", "--nothing-like-it"], "no such option: --nothing-like-it"),
    ],
)
def test_a_value_that_is_none_is_exit_code_2_in_our_words(byoc: Byoc, words: list[str], said: str) -> None:
    ran = byoc(*words)
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr.replace(" / '-n'", "") == f"error: {said}\n\nhint: byoc {words[0]} -h\n"


def test_an_option_without_its_value_is_exit_code_2(byoc: Byoc) -> None:
    ran = byoc("build", "--tag")
    assert (ran.code, ran.stderr) == (2, "error: option '--tag' requires an argument\n\nhint: byoc -h\n")


def test_help_loads_neither_docker_nor_boto3_nor_rich() -> None:
    """One process for all of them: what one loads is seen at the end."""
    words = [["--help"], ["--version"], *([*name.split(), "--help"] for name in NAMES)]
    code = (
        "import sys\nfrom byoc_cli.app import main\n"
        f"assert [main(words) for words in {words!r}] == [0] * {len(words)}\n"
        "print(sorted(set(sys.argv[1:]) & set(sys.modules)), file=sys.stderr)\n"
    )
    heavy = [
        "docker",
        "boto3",
        "botocore",
        "rich",
        "requests",
        "urllib3",
        "PIL",
        "matplotlib",
        "psutil",
        "isal",
        "aiohttp",
        "watchfiles",
        "debugpy",
    ]
    ran = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">/dev/full", 1, "error: the result cannot be written to stdout\nNo space left on device\n\nhint: "),
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
    ],
)
def test_a_stdout_that_takes_nothing(tmp_path: Path, redirection: str, code: int, said: str) -> None:
    run = tmp_path / ".byoc/runs/job"
    run.mkdir(parents=True)
    (run / "job.json").write_text('{"TrainingJobName": "job", "TrainingJobStatus": "Completed"}')
    ran = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m byoc_cli runs {redirection}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code
    assert ran.stderr.startswith(said)
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("words", ["--version", "--help", "shell --help"])
def test_a_full_stdout_takes_no_help_either(words: str) -> None:
    script = f"{sys.executable} -m byoc_cli {words} >/dev/full"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    said = "error: the result cannot be written to stdout\nNo space left on device\n\nhint: see where stdout goes\n"
    assert (ran.returncode, ran.stderr) == (1, said)
