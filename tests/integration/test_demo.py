"""The demo script with a stand-in for byoc: its order, its exit codes, and that no endpoint is left."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from scripts import demo

pytestmark = pytest.mark.integration

STAND_IN = """#!/bin/sh
echo "$*" >>calls
case $1 in
    {failing}) exit 4 ;;
    local-train) echo .byoc/runs/some-job ;;
esac
"""


def make_demo(folder: Path, failing: str = "nothing") -> demo.Demo:
    command = folder / "byoc"
    command.write_text(STAND_IN.format(failing=failing))
    command.chmod(0o755)
    return demo.Demo(Console(file=io.StringIO(), width=200), command=command, project=folder)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def shown(played: demo.Demo) -> str:
    assert isinstance(played.console.file, io.StringIO)
    return played.console.file.getvalue()


def test_demo_types_what_a_user_types(tmp_path: Path) -> None:
    played = make_demo(tmp_path)
    played.play()
    words = [line.split()[0] for line in calls(tmp_path)]
    assert words == ["build", "local-train", "serve", "predict", "stop"]
    assert "$ byoc local-train --hyperparam train-steps=100" in shown(played)
    assert str(tmp_path / ".byoc/runs/some-job/metrics.png") in shown(played)
    for word in words:
        assert f"byoc {word} " in shown(played).split("Time of each step:")[1]


@pytest.mark.parametrize("failing", ["serve", "predict"])
def test_endpoint_is_stopped_after_a_failure(tmp_path: Path, failing: str) -> None:
    with pytest.raises(demo.StepFailedError) as failure:
        make_demo(tmp_path, failing).play()
    assert failure.value.exit_code == 4
    assert calls(tmp_path)[-1] == "stop"


def test_nothing_is_stopped_that_was_never_started(tmp_path: Path) -> None:
    with pytest.raises(demo.StepFailedError):
        make_demo(tmp_path, "local-train").play()
    assert "stop" not in calls(tmp_path)


def test_taken_port_is_avoided() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        option, port = demo.port_options(taken)
    assert option == "--port"
    assert int(port) != taken
    assert demo.port_options(taken) == []


def test_picture_is_drawn_in_colour_and_only_in_a_terminal() -> None:
    drawn, plain = io.StringIO(), io.StringIO()
    terminal = Console(file=drawn, force_terminal=True, color_system="truecolor", width=40, _environ={})
    demo.show_picture(demo.PICTURE, terminal)
    demo.show_picture(demo.PICTURE, Console(file=plain))
    rows = drawn.getvalue().splitlines()
    assert len(rows) > 5
    assert all(row.count("▀") == 40 for row in rows)
    assert "\x1b[38;2;" in rows[0]
    assert "▀" not in plain.getvalue()
