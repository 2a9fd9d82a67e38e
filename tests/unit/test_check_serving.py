"""Rules of `serve` on facts that no quick container gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.check.hosting import samples
from byoc_cli.check.hosting.asking import Answer, Request
from byoc_cli.check.hosting.facts import Abuse, Load, ServingFacts, Stop
from byoc_cli.check.hosting.listening import Listening, has_unread, listening
from byoc_cli.check.hosting.starting import Start
from byoc_cli.check.training import causes
from byoc_cli.check.training.signals import Process
from byoc_cli.engine.types import Exit
from tests.unit.check_world import facts as image_facts
from tests.unit.check_world import judged

REQUEST = Request(b"1,2\n", "text/csv", what="a row")
FINE = Answer(200, b"3\n", {"content-type": "text/csv"}, connected=0.001, seconds=0.01)
NONE = Answer(why="no answer within 2 s", connected=0.001, seconds=2.0)
HEAD = "  sl  local_address rem_address   st tx_queue\n"
UNREAD, READ = "00000000:0000004A", "00000000:00000000"


def lives(folder: Path) -> None:
    """Let a process be a container's first one."""
    (folder / "status").write_text("NSpid:\t42\t1\nSigBlk:\t0\nSigCgt:\t0\nSigIgn:\t0\n")
    (folder / "cmdline").write_bytes(b"serve\0")


def served(**changes: Any) -> ServingFacts:
    """Facts of a sound server, with changes."""
    sound = ServingFacts(
        image_facts(),
        has_model=True,
        start=Start(ready=1.0, last=FINE),
        isolated=Start(ready=1.0),
        connects=[0.001] * 20,
        sample=REQUEST,
        tries=[(REQUEST, FINE)],
        answer=FINE,
        held=FINE,
        loads=[Load([FINE] * 8, [FINE], [0.001])],
        large=[Abuse("a body of 6 MB", FINE, FINE)],
        bad=[Abuse("nonsense", Answer(400), FINE)],
        stop=Stop(Process("serve", takes=True), FINE, exit=Exit(0), seconds=1.0, waited=30.0),
    )
    return replace(sound, **changes)


def said(id_: str, **changes: Any) -> tuple[str, str]:
    """(result, seen) of a rule on facts."""
    verdict = judged(id_, served(**changes), "serve")
    return verdict.result, verdict.seen


def test_h20_an_answer_after_60_s_fails_and_one_after_30_s_warns() -> None:
    for seconds, result in ((0.01, "pass"), (31.0, "warn"), (60.0, "fail")):
        slow = replace(FINE, seconds=seconds)
        assert said("H-20", answer=slow, tries=[(REQUEST, slow)])[0] == result


def test_h11_four_minutes_warn_and_eight_fail() -> None:
    for seconds, result in ((200.0, "pass"), (300.0, "warn"), (500.0, "fail")):
        assert said("H-11", start=Start(ready=seconds))[0] == result


def test_h11_what_is_still_at_work_is_no_failure() -> None:
    assert said("H-11", start=Start(seconds=60, last=Answer(why="nothing listens there")))[0] == "warn"
    assert said("H-11", start=Start(seconds=60, listens=[], idle=True))[0] == "fail"


def test_h10_a_single_worker_is_warned_of_where_its_requests_may_be_long() -> None:
    assert said("H-10", held=NONE)[0] == "pass", "the sample takes 10 ms"
    long = replace(FINE, seconds=0.4)
    assert said("H-10", held=NONE, answer=long)[0] == "warn"
    assert said("H-10", held=NONE, sample=None)[0] == "warn"
    assert said("H-10", answer=replace(FINE, seconds=3.0), busy=Load([FINE], [NONE]))[0] == "fail"


def test_h10_what_listens_and_never_answers_fails() -> None:
    silent = Start(seconds=60, last=NONE, listens=[Listening("0.0.0.0", 8080)], idle=True)
    assert (said("H-10", start=silent)[0], said("H-11", start=silent)[0]) == ("fail", "skip")
    busy = replace(silent, idle=False)
    assert (said("H-10", start=busy)[0], said("H-11", start=busy)[0]) == ("skip", "warn")


def test_h10_late_beside_short_requests_once_is_no_failure() -> None:
    late = Load([FINE], [NONE], [0.001])
    assert said("H-10", loads=[late, Load([FINE], [FINE], [0.001])])[0] == "pass"
    assert said("H-10", loads=[late, late])[0] == "fail"


def test_h13_one_slow_connection_is_no_fault() -> None:
    assert said("H-13", connects=[0.001] * 19 + [1.0])[0] == "pass"
    assert said("H-13", connects=[0.001] * 17 + [1.0] * 3)[0] == "warn"
    assert said("H-13", connects=[0.3] * 20)[0] == "fail"


def test_h21_a_limit_between_4_and_6_mb_warns() -> None:
    refused = Abuse("a body of 6 MB", Answer(413), FINE)
    assert said("H-21", large=[refused, Abuse("a body of 4 MB", FINE, FINE)])[0] == "warn"
    assert said("H-21", large=[refused, Abuse("a body of 4 MB", Answer(413), FINE)])[0] == "fail"
    closed = Answer(why="the connection was closed without an answer", connected=0.001)
    assert said("H-21", large=[Abuse("a body of 6 MB", closed, FINE)])[0] == "fail"


def test_h07_a_proxy_s_502_of_a_request_that_is_not_whole_tells_nothing() -> None:
    stop = served().stop
    assert stop
    assert said("H-07", stop=replace(stop, flight=Answer(502)))[0] == "pass"
    assert said("H-07", stop=replace(stop, flight=Answer(502), real=True))[0] == "warn"
    assert said("H-07", stop=replace(stop, flight=NONE))[0] == "warn"


def test_h07_a_request_that_is_not_whole_keeps_it() -> None:
    """As aiohttp does it: it is no finding where it ends in time without one."""
    waits = Stop(Process("serve", takes=True), NONE, exit=Exit(137), waited=30.0)
    assert waits.kept
    assert said("H-07", stop=waits)[0] == "fail"
    assert said("H-07", stop=waits, stop_alone=waits)[0] == "fail"
    alone = said("H-07", stop=waits, stop_alone=replace(waits, flight=None, exit=Exit(0), seconds=1.0))
    assert alone == (
        "pass",
        "it ended 1.0 s after SIGTERM, exit code 0; a request whose last byte was on its way kept it for 30 s",
    )
    assert not replace(waits, real=True).kept, "it was worked on"
    assert not replace(waits, process=Process("serve", takes=False)).kept


def test_h07_to_ignore_sigterm_fails_and_to_have_no_handler_warns() -> None:
    killed = Stop(Process("serve", takes=False), None, exit=Exit(137), waited=3.0)
    assert said("H-07", stop=killed)[0] == "warn"
    assert said("H-07", stop=replace(killed, process=Process("serve", takes=False, ignores=True)))[0] == "fail"
    assert said("H-07", stop=replace(killed, process=None, waited=30.0))[0] == "fail"


def test_h15_a_sample_of_the_user_s_fails_and_a_guess_does_not() -> None:
    wrong = {"sample": None, "answer": Answer(), "tries": [(REQUEST, Answer(400, b"no"))]}
    assert said("H-15", **wrong, asked=True)[0] == "fail"
    result, seen = said("H-15", **wrong)
    assert result == "skip"
    assert "--sample FILE" in seen
    assert said("H-15", **(wrong | {"tries": [(REQUEST, Answer(404))]}))[0] == "fail"


def test_h15_a_server_of_models_that_was_given_none() -> None:
    none = {"sample": None, "answer": Answer(), "has_model": False}
    assert said("H-15", **none, tries=[(REQUEST, Answer(404, b'{"message": "Model not found"}'))])[0] == "skip"
    assert said("H-15", **none, tries=[(REQUEST, Answer(404, b"Not Found"))])[0] == "fail"


def test_h17_an_answer_of_no_type() -> None:
    assert said("H-17", answer=replace(FINE, headers={}))[0] == "warn"


def test_h18_an_empty_200_to_nonsense() -> None:
    for body, result in ((b"{}", "warn"), (b'{"predictions": []}', "warn"), (b"0.5", "pass")):
        assert said("H-18", bad=[Abuse("nonsense", Answer(200, body), FINE)])[0] == result
    empty = replace(FINE, body=b"{}")
    assert said("H-18", answer=empty, bad=[Abuse("nonsense", empty, FINE)])[0] == "pass"


def test_t51_code_that_a_model_may_be_without() -> None:
    assert said("T-51", log="/opt/ml/model/code/inference.py not found, the default is taken")[0] == "pass"
    assert said("T-51", log="/opt/ml/model/weights not found")[0] == "warn"


def test_h56_the_documented_words() -> None:
    for body, result in (
        (b'{"MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}', "pass"),
        (b'{"BatchStrategy": "MultiRecord"}', "warn"),
        (b'{"MaxPayloadInMB": "6"}', "warn"),
        (b"OK", "warn"),
    ):
        assert said("H-56", parameters=Answer(200, body))[0] == result
    assert said("H-56", parameters=Answer(404))[0] == "pass"


def test_h01_what_ends_without_a_model_may_need_one() -> None:
    ended = {"has_model": False, "without": "the image does not train", "isolated": None}
    start = Start(exit=Exit(1), log="model.pkl: not loaded")
    assert said("H-01", **ended, start=start, log=start.log)[0] == "skip"
    assert said("H-01", start=start, log=start.log, isolated=None)[0] == "fail"
    broken = Start(exit=Exit(1), log="ModuleNotFoundError: No module named 'flask'")
    assert said("H-01", **ended, start=broken, log=broken.log)[0] == "fail"


def test_h01_what_needs_a_gpu_is_not_blamed_for_having_none() -> None:
    ended = Start(exit=Exit(1), log="RuntimeError: No CUDA GPUs are available")
    for trained in (True, False):
        assert said("H-01", start=ended, log=ended.log, isolated=None, has_model=trained)[0] == "skip"
    missing = Start(exit=Exit(127), log="/bin/bash: serve: No such file or directory")
    assert said("H-01", start=missing, log=missing.log, isolated=None, has_model=False)[0] == "fail"


@pytest.mark.parametrize(
    ("name", "row", "address", "alone"),
    [
        ("tcp", "0100007F:1F90 00000000:0000 0A", "127.0.0.1:8080", True),
        ("tcp", "00000000:1F90 00000000:0000 0A", "0.0.0.0:8080", False),
        ("tcp6", f"{'0' * 32}:1F90 {'0' * 32}:0000 0A", "[::]:8080", False),
        ("tcp6", f"{'0' * 24}01000000:1388 {'0' * 32}:0000 0A", "[::1]:5000", True),
        ("tcp6", f"{'0' * 16}FFFF00000100007F:1388 {'0' * 32}:0000 0A", "127.0.0.1:5000", True),
    ],
)
def test_h12_addresses_as_the_kernel_writes_them(
    tmp_path: Path, name: str, row: str, address: str, alone: bool
) -> None:
    folder = tmp_path / "42" / "net"
    folder.mkdir(parents=True)
    lives(folder.parent)
    names = "   1: 0B00007F:9C3F 00000000:0000 0A\n   2: 0100007F:9C3F 0100007F:1F90 01\n"
    (folder / "tcp").write_text(HEAD + names)
    (folder / name).write_text(f"{HEAD}   0: {row}\n{names if name == 'tcp' else ''}")
    found = listening(42, tmp_path)
    assert found
    assert [str(each) for each in found] == [address]
    assert found[0].is_loopback == alone


@pytest.mark.parametrize(("queue", "port", "unread"), [(UNREAD, 8080, True), (READ, 8080, False), (UNREAD, 80, False)])
def test_h07_a_request_that_is_not_read_yet_is_seen(tmp_path: Path, queue: str, port: int, unread: bool) -> None:
    folder = tmp_path / "42" / "net"
    folder.mkdir(parents=True)
    lives(folder.parent)
    (folder / "tcp").write_text(f"{HEAD}   0: 020011AC:1F90 010011AC:9C40 01 {queue} 00:00000000\n")
    assert has_unread(42, port, tmp_path) == unread


def test_h12_of_another_machine_s_process_nothing_is_known(tmp_path: Path) -> None:
    assert listening(0, tmp_path) is None
    assert listening(42, tmp_path) is None


def test_h12_the_own_address_alone_fails() -> None:
    result, seen = said("H-12", start=Start(wrong=[Listening("127.0.0.1", 8080)]))
    assert (result, seen.startswith("it listens on 127.0.0.1:8080 only")) == ("fail", True)


def test_a_large_request_means_the_same() -> None:
    large = samples.large(Request(b'{"a": 1}', "application/json"), 100)
    assert len(large.body) == 100
    assert large.body.startswith(b"{  "), "who reads but the beginning has half of it"
    assert json.loads(large.body) == {"a": 1}
    assert samples.large(Request(b"\x89PNG", "image/png"), 6).body == b"\x89PNG\0\0"


def test_h15_no_request_mends_a_redirect_or_a_missing_module() -> None:
    def tried(answer: Answer, log: str = "") -> tuple[str, str]:
        start = Start(ready=1.0, last=FINE, log="loading\n")
        return said("H-15", sample=None, start=start, tries=[(REQUEST, answer)], log=f"loading\n{log}")

    assert tried(Answer(302))[0] == "fail"
    assert tried(Answer(406))[0] == "fail"
    assert tried(Answer(400))[0] == "skip"
    assert tried(Answer(500))[0] == "skip"
    assert tried(Answer(500), "ModuleNotFoundError: No module named 'sklearn'")[0] == "fail"


def test_h17_json_that_is_said_to_be_html() -> None:
    def answered(body: bytes) -> str:
        return said("H-17", answer=replace(FINE, body=body, headers={"content-type": "text/html; charset=utf-8"}))[0]

    assert answered(b'{"predictions": [1]}') == "warn"
    assert answered(b"<html>3</html>") == "pass"


def test_h18_of_an_empty_body_an_empty_answer_is_no_lie() -> None:
    def answered(what: str, answer: Answer) -> str:
        return said("H-18", bad=[Abuse(what, answer, FINE)])[0]

    assert answered("an empty body", Answer(200)) == "pass"
    assert answered("JSON that breaks off", Answer(200)) == "warn"
    assert answered("an empty body", Answer(500)) == "warn"


def test_h21_the_same_request_with_blanks_in_it_is_taken() -> None:
    def answered(request: Request, answer: Answer) -> str:
        return said("H-21", sample=request, large=[Abuse("a body of 6 MB", answer, FINE)])[0]

    assert answered(Request(b'{"a": 1}', "application/json"), Answer(400)) == "fail"
    assert answered(REQUEST, Answer(400)) == "pass", "a CSV parser may mind empty lines"


def test_h56_more_than_100_mb_at_once() -> None:
    def answered(body: str) -> str:
        return said("H-56", parameters=Answer(200, body.encode()))[0]

    assert answered('{"MaxConcurrentTransforms": 8, "MaxPayloadInMB": 6}') == "pass"
    assert answered('{"MaxConcurrentTransforms": 100, "MaxPayloadInMB": 6}') == "warn"


def test_h20_a_server_that_gives_up_sooner() -> None:
    assert said("H-20", sample=None, tries=[(REQUEST, Answer(500))])[0] == "skip"
    log = "[CRITICAL] WORKER TIMEOUT (pid:9)"
    assert said("H-20", sample=None, tries=[(REQUEST, Answer(500))], log=log)[0] == "warn"


def test_h01_the_line_that_tells_comes_before_the_last_lines() -> None:
    log = "\n".join(["ModuleNotFoundError: No module named 'packaging'", *(f"GET /ping {each}" for each in range(9))])
    ended = Start(exit=Exit(0), log=log)
    result, seen = said("H-01", start=ended, log=log, isolated=None)
    assert (result, seen.splitlines()[1]) == ("fail", "ModuleNotFoundError: No module named 'packaging'")


def test_h01_what_trains_and_refuses_the_word_does_not_serve() -> None:
    log = "usage: app [-h] {train}\napp: error: argument command: invalid choice: 'serve' (choose from 'train')"
    refused = {"start": Start(exit=Exit(2), log=log), "log": log, "isolated": None}
    assert said("H-01", **refused)[0] == "skip"
    assert said("H-01", **refused, given=True)[0] == "fail", "it was to serve that model"
    assert said("H-01", **refused, has_model=False, without="the training failed: there is no channel x")[0] == "skip"
    neither = said("H-01", **refused, has_model=False, without=f"{causes.DOES_NOT_TRAIN}invalid choice: 'train'")
    assert (neither[0], neither[1].splitlines()[0]) == ("fail", "it takes neither `train` nor `serve`")
