"""Ctrl-C and SIGTERM as calls: real signals to this very process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from byoc_cli.errors import Interrupted
from byoc_cli.local.interrupts import Interrupts


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Hear SIGHUP also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def send(number: int) -> None:
    """Python runs the handler in the main thread, before the next statement."""
    os.kill(os.getpid(), number)


def wait_for(event: threading.Event) -> None:
    assert event.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_there_is_anything_to_stop_a_signal_waits_to_be_asked_for(number: int) -> None:
    said: list[str] = []
    with Interrupts(said.append) as interrupts:
        send(number)
        made_in_peace = True
        with pytest.raises(Interrupted) as caught:
            interrupts.check()
    assert made_in_peace
    assert caught.value.exit_code == 128 + number
    assert said == ["stopping; press Ctrl-C again to stop at once"]


def test_and_a_second_one_raises_at_once() -> None:
    with Interrupts(str):
        send(signal.SIGINT)
        with pytest.raises(Interrupted):
            send(signal.SIGINT)


def test_the_first_signal_calls_the_first_and_the_second_the_second() -> None:
    called: list[str] = []
    with Interrupts(str) as interrupts:
        interrupts.on_signal(lambda: called.append("stop"), lambda: called.append("kill"))
        send(signal.SIGTERM)
        send(signal.SIGINT)
        send(signal.SIGINT)
    assert called == ["stop", "kill"]
    assert interrupts.signal == signal.SIGTERM


def test_a_call_does_not_hold_up_what_runs() -> None:
    release = threading.Event()
    with Interrupts(str) as interrupts:
        interrupts.on_signal(lambda: wait_for(release))
        send(signal.SIGINT)
        release.set()  # reached although the call has not come back


def test_the_end_waits_for_the_calls() -> None:
    done: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        done.append(1)

    with Interrupts(str) as interrupts:
        interrupts.on_signal(slow)
        send(signal.SIGINT)
    assert done == [1]


def test_when_there_is_nothing_to_stop_any_more_it_raises_again() -> None:
    called: list[str] = []
    with Interrupts(str) as interrupts:
        interrupts.on_signal(lambda: called.append("collecting first"), then_raise=True)
        send(signal.SIGINT)
        with pytest.raises(Interrupted):
            send(signal.SIGINT)
    assert called == ["collecting first"]


def test_a_second_sigterm_is_no_reason_to_give_up() -> None:
    """An orchestrator may send it more than once; only a person's second Ctrl-C gives up."""
    with Interrupts(str) as interrupts:
        interrupts.on_signal(lambda: None, then_raise=True)
        send(signal.SIGTERM)
        send(signal.SIGTERM)


def test_check_raises_what_came() -> None:
    with Interrupts(str) as interrupts:
        interrupts.check()
        interrupts.on_signal(lambda: None)
        send(signal.SIGTERM)
        with pytest.raises(Interrupted) as caught:
            interrupts.check()
    assert caught.value.exit_code == 143


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts(str):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts(str):
        send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_in_another_thread_it_does_nothing() -> None:
    seen: list[int] = []

    def use() -> None:
        with Interrupts(str) as interrupts:
            seen.append(interrupts.signal)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [0]
