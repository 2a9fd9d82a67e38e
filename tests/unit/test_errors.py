"""The family of errors: exit codes, and who catches whom (design decision 6)."""

from __future__ import annotations

import signal

import pytest

from byoc_cli.endpoint import InvocationFailed
from byoc_cli.engine.build import BuildFailed
from byoc_cli.engine.types import CannotStart
from byoc_cli.errors import ByocError, Interrupted, MachineError, UsageError
from byoc_cli.local.collect import NoSpace
from byoc_cli.local.hosting import EndpointFailed
from byoc_cli.local.training import JobFailed


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ByocError("x"), 1),
        (UsageError("x"), 2),
        (MachineError("x"), 3),
        (CannotStart("x", 127), 1),
        (JobFailed("x"), 1),
        (EndpointFailed("x"), 1),
        (InvocationFailed("x"), 1),
        (BuildFailed("x"), 1),
        (NoSpace("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: ByocError, code: int) -> None:
    assert error.exit_code == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupt_says_which_signal(number: signal.Signals, code: int) -> None:
    assert Interrupted(number).exit_code == code


def test_no_except_exception_eats_an_interrupt() -> None:
    assert not issubclass(Interrupted, Exception)
    assert not issubclass(Interrupted, KeyboardInterrupt), "Typer makes 130 of that, whatever the signal was"


def test_an_error_carries_what_why_and_what_to_do() -> None:
    error = ByocError("the job failed\nexit code 1", hint="look at the log", result={"TrainingJobStatus": "Failed"})
    assert (error.message, error.hint, error.result) == (
        "the job failed\nexit code 1",
        "look at the log",
        {"TrainingJobStatus": "Failed"},
    )
    assert str(error) == error.message
