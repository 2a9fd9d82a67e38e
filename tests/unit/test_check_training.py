"""The rules that a training shows, each with facts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from byoc_cli.check.model import Verdict
from byoc_cli.check.training.attempt import Listener
from byoc_cli.check.training.bad import BadFacts
from byoc_cli.check.training.causes import CHANNEL, ELSEWHERE, GPU, ITSELF, Cause
from byoc_cli.check.training.hosts import HostsFacts
from byoc_cli.check.training.ran import Ran
from byoc_cli.check.training.signals import Process, first_process
from byoc_cli.check.training.stop import StopFacts, Stopper
from byoc_cli.check.training.strings import StringsFacts
from byoc_cli.engine.types import Container
from byoc_cli.local.training.execution import Execution
from tests.unit.check_world import facts, judged, script, start, trained

DEAF, GOOD_PROCESS = Process("python3 /usr/local/bin/train", takes=False), Process("python3 train", takes=True)


def good(id_: str, **changes: Any) -> Verdict:
    return judged(id_, trained(**changes), "train-good")


def failing(id_: str, *causes: Cause, **changes: Any) -> Verdict:
    return good(id_, **{"code": 1, "model": [], "causes": causes} | changes)


def bad(id_: str, **changes: Any) -> Verdict:
    ran = replace(Ran(1, log="ValueError: no JSON", failure="ValueError: no JSON"), **changes)
    return judged(id_, BadFacts(trained(), ran=ran), "train-bad")


def stop(id_: str, **changes: Any) -> Verdict:
    own = {
        name: changes.pop(name)
        for name in list(changes)
        if name in {"process", "looks", "asked", "killed", "slowed", "resumed"}
    }
    ran = replace(Ran(0, stopped=True, model=["model.json"], log="epoch"), **changes)
    return judged(
        id_, replace(StopFacts(trained(), ran=ran, asked=True, process=GOOD_PROCESS, looks=9), **own), "train-stop"
    )


def two(
    id_: str, *, clashes: dict[str, list[str]] | None = None, sharded: Ran | None = None, **changes: Any
) -> Verdict:
    both = [Ran(log="a"), replace(Ran(log="a", host="algo-2"), **changes)]
    found: dict[str, list[str]] = {"/opt/ml/model": [], "/opt/ml/output/data": [], "/opt/ml/checkpoints": []} | (
        clashes or {}
    )
    return judged(id_, HostsFacts(trained(), both=both, clashes=found, sharded=sharded), "train-hosts")


ALL_GOOD = (
    "T-01",
    "T-11",
    "T-14",
    "T-21",
    "T-22",
    "T-29",
    "T-31",
    "T-45",
    "T-46",
    "T-50",
    "T-59",
    "T-60",
    "T-69",
    "T-74",
    "T-76",
)


@pytest.mark.parametrize("id_", ALL_GOOD)
def test_a_good_run_breaks_nothing(id_: str) -> None:
    assert good(id_).result == "pass"


@pytest.mark.parametrize("id_", ALL_GOOD)
def test_what_is_not_let_train_is_skipped_with_the_reason(id_: str) -> None:
    verdict = good(id_, reason="the image does not train")
    assert (verdict.result, verdict.seen) == ("skip", "the image does not train")


@pytest.mark.parametrize("id_", [id_ for id_ in ALL_GOOD if id_ not in {"T-01", "T-69"}])
def test_what_did_not_end_in_time_is_skipped(id_: str) -> None:
    assert good(id_, code=137, stopped=True, model=[]).result == "skip"


@pytest.mark.parametrize(
    ("id_", "result"),
    [
        ("T-11", "fail"),
        ("T-12", "fail"),
        ("T-14", "fail"),
        ("T-21", "warn"),
        ("T-22", "warn"),
        ("T-29", "fail"),
        ("T-59", "warn"),
        ("T-60", "fail"),
        ("T-74", "warn"),
        ("T-76", "warn"),
    ],
)
def test_a_cause_is_its_rule_s_finding_and_nobody_else_s(id_: str, result: str) -> None:
    cause = Cause(id_, "what it said", "/opt/ml/output/x/y")
    verdict = failing(id_, cause)
    assert (verdict.result, "what it said" in verdict.seen) == (result, True)
    for other in ("T-31", "T-45", "T-46", "T-11" if id_ != "T-11" else "T-22"):
        assert failing(other, cause).result == "skip", other


def test_t01_what_the_engine_refuses() -> None:
    verdict = good("T-01", code=None, refused='exec: "train": executable file not found in $PATH', model=[])
    assert (verdict.result, "exit code: 127" in verdict.cloud) == ("fail", True)


def test_t12_without_hyperparameters_nothing_is_known() -> None:
    assert good("T-12").result == "skip"
    assert good("T-12", hyperparameters={"epochs": "1"}).result == "pass"


def test_t12_with_the_names_of_its_source() -> None:
    def verdict(**changes: Any) -> str:
        return judged("T-12", StringsFacts({"epochs": "1"}, ran=Ran(**changes)), "train-strings").result

    assert verdict() == "pass"
    assert verdict(code=1, log="TypeError: 'str' object cannot be interpreted as an integer") == "fail"
    assert verdict(code=1, log="ValueError: epochs must be at least 5") == "skip"
    assert judged("T-12", StringsFacts(reason="none"), "train-strings").seen == "none"


def test_t14_a_source_that_knows_the_old_spelling_only() -> None:
    def with_source(text: str) -> str:
        program = script("train", text)
        image = facts(train=start("train", program=program, on_path=program))
        return judged("T-14", trained(image), "train-good").result

    assert with_source('open("/opt/ml/input/config/resourceConfig.json")') == "warn"
    assert with_source('open("resourceConfig.json" if old else "resourceconfig.json")') == "pass"


def test_t01_what_an_entrypoint_does_not_find() -> None:
    verdict = failing("T-01", code=127, log="ready\n/entry: line 3: exec: train: not found")
    assert (verdict.result, verdict.seen) == ("fail", "/entry: line 3: exec: train: not found")
    assert failing("T-01", code=1, log="cat: /opt/ml/input/data/train: not found").result == "pass"


def test_t31_a_shell_that_finds_no_program() -> None:
    assert failing("T-31", code=127, log="env: 'python': No such file or directory").result == "fail"
    assert failing("T-31", code=2, log="data.csv: no header").result == "skip"


def test_t31_an_end_that_is_no_failure_and_not_0() -> None:
    assert failing("T-31", model=["model.json"], log="epoch 1\ndone").result == "fail"
    assert failing("T-31", model=["model.json"], log="ValueError: 3 columns").result == "skip"


def test_t31_a_bad_run_without_a_model_where_the_good_one_left_one() -> None:
    assert bad("T-31", code=0, log="that is all", failure=None).result == "fail"
    assert bad("T-31", code=0, log="that is all", failure=None, model=["model.json"]).result == "skip"
    facts_ = BadFacts(trained(), what="data that is none", ran=Ran(0, log="no rows"))
    assert judged("T-31", facts_, "train-bad").result == "skip"
    told = replace(facts_, ran=Ran(0, log="cannot read the data"))
    assert judged("T-31", told, "train-bad").result == "fail"


def test_t52_a_checkpoint_that_is_not_gone_on_from() -> None:
    before = {"checkpoints": ["state"], "log": "epoch 1\nepoch 2\nepoch 3"}
    assert stop("T-52", resumed=Ran(log="epoch 1\nepoch 2"), **before).result == "warn"
    assert stop("T-52", resumed=Ran(log="epoch 3"), **before).result == "pass"
    assert stop("T-52", resumed=Ran(log="weights restored\nepoch 1"), **before).result == "pass"
    assert stop("T-52", resumed=Ran(log="epoch 1"), checkpoints=["state"], log="epoch 1\nepoch 2").result == "pass"


def test_t31_a_failure_counts_with_the_user_s_data() -> None:
    verdict = failing("T-31", own_data=True, log="loading\nValueError: 3 columns")
    assert (verdict.result, "ValueError: 3 columns" in verdict.seen) == ("fail", True)
    assert verdict.cloud == "AlgorithmError: , exit code: 1"


def test_t31_a_failure_on_the_small_channel_asks_for_data() -> None:
    verdict = failing("T-31", log="ValueError: 3 columns")
    assert (verdict.result, "--channel NAME=PATH" in verdict.seen) == ("skip", True)
    assert "--channel train=PATH" in failing("T-31", Cause(CHANNEL, "No such file", "train")).seen


def test_t31_what_no_data_mends_is_a_failure() -> None:
    assert failing("T-31", Cause(ITSELF, "No module named 'numpy'")).result == "fail"
    assert failing("T-31", Cause(GPU, "no NVIDIA driver"), log="no NVIDIA driver").result == "skip"


def test_t31_exit_code_0_with_evidence_of_a_failure() -> None:
    assert good("T-31", failure="ValueError: no data").result == "fail"
    assert good("T-31", log="Traceback (most recent call last):\nValueError: x", model=[]).result == "fail"
    assert good("T-31", log="Traceback (most recent call last):\nValueError: x").result == "pass", "it made a model"
    assert good("T-45", failure="ValueError", model=[]).result == "skip", "one finding is enough"


def test_t45_no_model() -> None:
    verdict = good("T-45", model=[], elsewhere=["/opt/program/__pycache__/a.pyc", "/opt/program/model.pkl"])
    assert verdict.result == "fail"
    assert verdict.seen.endswith("it made /opt/program/model.pkl")


def test_t46_lost_output() -> None:
    assert good("T-46", output=["data/a", "metrics/sagemaker/a", "success"]).result == "pass"
    assert good("T-46", output=["report.csv"]).result == "warn"
    assert good("T-46", output=["failure.txt"]).result == "pass", "T-34 speaks of it"


def test_t50_links() -> None:
    assert good("T-50", links=["model/latest is a symbolic link"]).result == "fail"
    assert good("T-50", model=[]).result == "skip"


def test_t59_is_not_known_where_it_failed_otherwise() -> None:
    assert failing("T-59").result == "skip"


def test_t69_nothing_printed_and_printed_late() -> None:
    assert good("T-69", log="").result == "warn"
    late = {"log": "a\nb\nc", "seconds": 10.0, "first_word": 9.9, "last_word": 9.9}
    assert good("T-69", **late, unbuffered=Ran(first_word=2.0)).result == "warn"
    assert good("T-69", **late, unbuffered=Ran(first_word=9.0)).result == "pass", "it imports for long"
    assert good("T-69", **late, unbuffered=Ran()).result == "pass", "it said nothing"
    assert good("T-69", **late).result == "pass", "it was not tried"


def test_t69_what_may_be_buffered() -> None:
    lines = "a\nb\nc"
    assert Ran(log=lines, seconds=10.0, first_word=9.9, last_word=9.9).said_late
    assert not Ran(log=lines, seconds=10.0, first_word=5.5, last_word=9.0).said_late
    assert not Ran(log="done", seconds=10.0, first_word=9.9, last_word=9.9).said_late, "one line is a word at the end"
    assert not Ran(log=lines, seconds=1.0, first_word=0.99, last_word=0.99).said_late


def test_t70_metrics() -> None:
    assert good("T-70").result == "skip"
    assert good("T-70", metrics={"epoch": "epoch=([0-9]+)"}).result == "pass"
    assert good("T-70", metrics={"loss": "loss=([0-9]+)"}).result == "warn"
    assert good("T-70", metrics={"epoch": "(epoch)=([0-9]+)"}).result == "warn"


def test_t74_what_only_a_network_mends() -> None:
    strict = Ran(1, log="it hung up")
    assert good("T-74", strict=strict).result == "warn"
    assert good("T-74", strict=strict, causes=[Cause("T-59", "Read-only file system")]).result == "skip"
    assert failing("T-74").result == "skip"


def test_t31_the_bad_run() -> None:
    assert bad("T-31").result == "pass"
    assert bad("T-31", code=0).result == "fail", "a failure file"
    assert bad("T-31", code=0, failure=None).result == "fail", "an exception in the log"
    assert bad("T-31", code=0, failure=None, log="epoch=1", model=["model.json"]).result == "skip"
    assert bad("T-31", code=0, failure=None, model=["model.json"]).result == "skip", "it got over it"
    assert bad("T-31", stopped=True, code=137).result == "skip"


def test_t32_the_failure_file() -> None:
    assert bad("T-32").result == "pass"
    assert bad("T-32", failure=None).result == "warn"
    assert bad("T-32", failure=" \n").result == "warn"
    assert bad("T-32", code=0).result == "skip"
    traceback = "Traceback (most recent call last):\n" + "  File a\n" * 200 + "ValueError: no JSON"
    assert bad("T-32", failure=traceback).result == "warn"
    assert bad("T-32", failure=f"ValueError: no JSON\n{traceback}").result == "pass"
    assert bad("T-32", failure=None, output=["failure.txt"]).result == "skip", "T-34 speaks of it"


def test_t32_with_data_that_is_none_a_missing_file_is_no_finding() -> None:
    def result(**changes: Any) -> str:
        what = "data that is none"
        return judged("T-32", BadFacts(trained(), what=what, ran=Ran(1, log="no", **changes)), "train-bad").result

    assert result() == "skip"
    assert result(failure="UnicodeDecodeError") == "pass"


@pytest.mark.parametrize(
    "changes",
    [
        {"output": ["failure.txt"]},
        {"output": ["data/failure"]},
        {"model": ["failure"]},
        {"elsewhere": ["/tmp/failure"]},
    ],
)
def test_t34_a_failure_file_in_the_wrong_place(changes: dict[str, Any]) -> None:
    assert bad("T-34", failure=None, **changes).result == "warn"
    assert bad("T-34", **changes).result == "pass"


def test_t34_none_at_all_is_t32_s() -> None:
    assert bad("T-34", failure=None).result == "skip"


def test_t40_the_stop() -> None:
    assert stop("T-40").result == "pass"
    assert stop("T-40", process=None).result == "pass"
    assert stop("T-40", killed=True, code=137).result == "warn"
    assert stop("T-40", process=DEAF, killed=True, code=137).result == "warn"
    assert "python3 /usr/local/bin/train" in stop("T-40", process=DEAF).seen
    assert "exec" in stop("T-40", process=Process("/bin/sh /train", takes=False)).fix


def test_t40_what_ended_before_the_stop() -> None:
    assert stop("T-40", asked=False, process=None).result == "skip"
    assert stop("T-40", asked=False).result == "pass", "a handler was seen"
    assert stop("T-40", asked=False, process=DEAF).result == "warn", "and no handler was"
    assert stop("T-40", asked=False, process=DEAF, looks=2).result == "skip", "it was too fast to know"
    other = Process("python3 -m app.train", takes=False)
    assert stop("T-40", asked=False, process=other).result == "skip", "its source is not known"


def test_t41_the_model_of_a_stop() -> None:
    assert stop("T-41").result == "pass"
    assert stop("T-41", model=[]).result == "warn"
    for changes in ({"asked": False}, {"killed": True}, {"process": DEAF}, {"code": 1}, {"slowed": True}):
        assert stop("T-41", **{"model": []} | changes).result == "skip", changes


def test_t52_goes_on_from_its_checkpoints() -> None:
    assert stop("T-52").result == "skip"
    assert stop("T-52", checkpoints=["a"], resumed=Ran(0)).result == "pass"
    assert stop("T-52", checkpoints=["a"], resumed=Ran(137, stopped=True)).result == "pass", "it goes on"
    assert stop("T-52", checkpoints=["a"], resumed=Ran(1, log="ValueError")).result == "warn"


def test_t52_begins_anew() -> None:
    def again(before: str, after: str) -> str:
        return stop("T-52", log=before, checkpoints=["a"], resumed=Ran(log=after, stopped=True)).result

    assert again("epoch 0\nepoch 1\nepoch 2", "epoch 0\nepoch 1") == "warn"
    assert again("epoch 0\nepoch 1\nepoch 2", "epoch 3\nepoch 4") == "pass"
    assert again("epoch 0\nepoch 1\nepoch 2", "epoch 0 is done already\nepoch 3") == "pass"
    steps = "step 1: reading\nstep 2: preparing\nstep 3: training\n"
    assert again(f"{steps}epoch 0\nepoch 1\nepoch 2\nepoch 3", f"{steps}epoch 4") == "pass", "steps are no rounds"


def test_t71_two_hosts() -> None:
    assert two("T-71").result == "pass"
    verdict = two("T-71", code=1, log="ValueError: 'ip-10-0-1-2.ec2.internal' is not in list")
    assert (verdict.result, "the machine's own name" in verdict.seen) == ("fail", True)
    assert two("T-71", code=137, stopped=True).result == "warn"


def test_t47_and_t53_clashes() -> None:
    assert two("T-47").result == two("T-53").result == "pass"
    assert two("T-47", clashes={"/opt/ml/model": ["/opt/ml/model/a"]}).result == "warn"
    assert two("T-53", clashes={"/opt/ml/checkpoints": ["/opt/ml/checkpoints/a"]}).result == "warn"
    assert two("T-47", code=1).result == "skip"


def test_t57_a_host_without_data() -> None:
    assert two("T-57").result == "skip"
    assert two("T-57", sharded=Ran(0)).result == "pass"
    assert two("T-57", sharded=Ran(1)).result == "warn"


def test_the_signals_of_the_first_process(tmp_path: Path) -> None:
    def looked(**fields: str) -> Process | None:
        folder = tmp_path / "42"
        folder.mkdir(exist_ok=True)
        given = {"NSpid": "42\t1", "SigBlk": "0" * 16, "SigCgt": "0" * 16} | fields
        (folder / "status").write_text("".join(f"{name}:\t{value}\n" for name, value in given.items()))
        (folder / "cmdline").write_bytes(b"/usr/bin/python3\0train\0")
        return first_process(42, tmp_path)

    assert looked() == Process("/usr/bin/python3 train", takes=False)
    handler = looked(SigCgt="0000000000004002")
    assert handler
    assert handler.takes
    assert handler.name == "python3"
    waits = looked(SigBlk="0000000000004000")
    assert waits
    assert waits.takes, "an init blocks what it waits for"
    (tmp_path / "42" / "cmdline").write_bytes(b"runc\0init\0")
    assert first_process(42, tmp_path) is None, "the image's program has not begun"
    assert looked(NSpid="42") is None, "it is in no container"
    assert looked(NSpid="42\t7") is None, "it is another process"
    assert first_process(0, tmp_path) is None


def test_t31_a_file_of_its_own_is_not_there() -> None:
    cause = Cause(ELSEWHERE, "cat: /opt/a.yaml: No such file or directory", "/opt/a.yaml")
    assert failing("T-31", cause, log=f"starting\n{cause.line}").result == "fail"
    assert failing("T-31", cause, log="with a network it was something else").result == "skip"


def test_t31_a_traceback_and_a_model_is_a_warning() -> None:
    log = "Traceback (most recent call last):\n  File\nValueError: no JSON"
    assert bad("T-31", code=0, log=log, failure=None, model=["model.json"]).result == "warn"
    assert bad("T-31", code=0, log=log, failure=None, model=["model.json"], hollow=True).result != "skip"
    assert bad("T-31", code=0, log=f"{log}\nepoch=2", failure=None, model=["a"]).result == "skip", "it went on"
    assert bad("T-31", code=0, log="WARNING: took the defaults", failure=None, model=["model.json"]).result == "skip"


def test_t32_words_that_say_nothing() -> None:
    assert bad("T-32", failure="Training failed.").result == "warn"
    assert bad("T-32", failure="Unknown error").result == "warn"
    assert bad("T-32", failure="Training failed: no JSON").result == "pass"


def test_t32_a_log_before_the_cause() -> None:
    assert bad("T-32", failure="INFO a row\n" * 200 + "ValueError: no JSON").result == "warn"
    assert bad("T-32", failure="ValueError: no JSON\n" + "INFO a row\n" * 200).result == "pass"


def test_t45_a_model_of_nothing() -> None:
    assert good("T-45", hollow=True).result == "fail"
    assert good("T-45", model=["model.tar.gz"]).result == "warn"


def test_t32_what_the_toolkit_writes_is_its_own() -> None:
    text = "Framework Error: \nTraceback (most recent call last):\n" + "x" * 1100 + "\nValueError: no JSON"
    ran = Ran(1, log="ValueError", failure=text)
    assert judged("T-32", BadFacts(trained(), ran=ran), "train-bad").result == "warn"
    with_toolkit = trained(facts(toolkit="/usr/lib/python3/dist-packages/sagemaker_training"))
    assert judged("T-32", BadFacts(with_toolkit, ran=ran), "train-bad").result == "pass"


def test_what_could_not_train_on_our_data_is_asked_for_its_own() -> None:
    for id_ in ("T-11", "T-45", "T-59", "T-74"):
        verdict = failing(id_)
        assert (verdict.result, "--channel NAME=PATH, --hyperparam K=V" in verdict.seen) == ("skip", True), id_
    assert "--channel train=PATH" in failing("T-45", Cause(CHANNEL, "no such file", "train")).seen
    assert "T-31" in failing("T-45", own_data=True).seen
    assert "GPU" in failing("T-45", Cause(GPU, "no NVIDIA driver")).seen
    assert good("T-45", model=[], code=0, stopped=True).result == "skip", "it was stopped before"
    assert good("T-45", model=[], log="no training data found").result == "skip"
    assert good("T-45", model=[], log="no training data found", own_data=True).result == "fail"


@dataclass
class Asked:
    """What a stopper says to an execution."""

    grace: float = 0.0
    asked: threading.Event = field(default_factory=threading.Event)

    def stop(self, *_: str) -> None:
        self.asked.set()


class NotSeen:
    """A container of which no process is seen from here."""

    def pid(self) -> int:
        return 0


@pytest.mark.parametrize("speaks", [True, False])
def test_a_training_that_speaks_is_not_stopped_before_it_does(speaks: bool) -> None:
    listener, over, asked = Listener(), threading.Event(), Asked()
    listener.started -= 60  # it has been silent for longer than anything waits
    stopper = Stopper(0.0, 20.0, speaks=speaks, slowed=False)
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(stopper, cast(Container, NotSeen()), cast(Execution, asked), listener, over)
        try:
            assert asked.asked.wait(0.3 if speaks else 60) is not speaks
            listener.output(b"epoch=1\n")
            assert asked.asked.wait(60)
        finally:
            over.set()
        watched.result()
    assert asked.grace == 20.0
