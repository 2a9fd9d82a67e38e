"""What --help, --version and a slip of the fingers show; and how little they load."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from byoc_cli import __version__
from byoc_cli.app import COMMANDS
from tests.commands.conftest import Byoc

NAMES = [name for name, *_ in COMMANDS]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_starts_with_examples(byoc: Byoc, name: str, option: str) -> None:
    ran = byoc(name, option)
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
    assert "With --json" in byoc(name, "--help").stdout


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_byoc_alone_lists_its_commands_and_examples_first(byoc: Byoc, words: list[str]) -> None:
    ran = byoc(*words)
    text = ran.stdout + ran.stderr
    assert re.search(r"^Usage: .*\n\n  Examples:\n", text)
    listed = text.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if re.match(r"  \S", line)] == NAMES


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
    ],
)
def test_a_slip_is_exit_code_2_with_a_suggestion(byoc: Byoc, words: list[str], suggestion: str) -> None:
    ran = byoc(*words)
    assert (ran.code, ran.stdout) == (2, "")
    assert suggestion in ran.stderr


@pytest.mark.parametrize(
    "words",
    [["serve", "--port", "0"], ["serve", "--port", "x"], ["predict"], ["logs", "--tail", "-1"], ["ps", "extra"]],
)
def test_a_value_that_is_none_is_exit_code_2(byoc: Byoc, words: list[str]) -> None:
    ran = byoc(*words)
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr


def test_help_loads_neither_docker_nor_boto3_nor_rich() -> None:
    """One process for all of them: what one loads is seen at the end."""
    words = [["--help"], ["--version"], *([name, "--help"] for name in NAMES)]
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
    ]
    ran = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"
