"""How steps run, which rules are chosen, and what becomes of their verdicts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from byoc_cli import project
from byoc_cli.check import selection
from byoc_cli.check.bench import Bench, Benches, Cancelled, Order
from byoc_cli.check.model import Finding, NotTried, Step, Verdict, failed, passed, warned, weightiest
from byoc_cli.check.runner import check
from byoc_cli.check.table import STEPS
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.errors import ByocError, Interrupted, UsageError
from tests.fakes import FakeEngine
from tests.unit.check_world import finding, results


@dataclass
class Watched:
    """A `Watcher` that remembers."""

    events: list[str] = field(default_factory=list)

    def log(self, text: str) -> None:
        self.events.append(text)

    def started(self, step: Step[Any]) -> None:
        self.events.append(f"started {step.name}")

    def ended(self, step: Step[Any], findings: Sequence[Finding], seconds: float) -> None:  # noqa: ARG002
        self.events.append(f"ended {step.name}")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    made = FakeEngine(tmp_path / "engine")
    made.add_image("image:1")
    yield made
    assert made.empty, "nothing may be left in the engine"


@pytest.fixture
def benches(engine: FakeEngine, tmp_path: Path) -> Benches:
    image = engine.image("image:1")
    assert image
    return Benches(Order(project.load(tmp_path), "image:1", image), lambda: cast("DockerEngine", engine))


Gathering = Callable[[Bench, Mapping[str, Any]], Any]


def step(name: str, gather: Gathering | None = None, needs: Sequence[str] = (), id_: str = "T-01") -> Step[Any]:
    """A step with one rule, which passes and says what it was given."""
    made: Step[Any] = Step(name, name, "looks", gather or (lambda *_: name), needs)
    made.rule(id_, "a sentence", "a remedy")(lambda facts: passed(str(facts)))
    return made


def run(
    steps: Sequence[Step[Any]], benches: Benches, watch: Watched | None = None, only: Sequence[str] = ()
) -> list[Finding]:
    rules = [rule for each in steps for rule in each.rules if not only or each.name in only]
    return check(steps, rules, benches, watch or Watched())


def test_a_step_is_given_the_facts_of_those_that_it_needs(benches: Benches) -> None:
    first = step("first")
    second = step("second", lambda _, have: f"after {have['first']}", ["first"], "T-02")
    found = run([first, second], benches)
    assert [each.verdict.seen for each in found] == ["first", "after first"]


def test_only_chosen_rules_run_and_the_steps_that_they_need(benches: Benches) -> None:
    watch = Watched()
    steps = [step("first"), step("second", needs=["first"], id_="T-02"), step("third", id_="T-03")]
    found = run(steps, benches, watch, only=["second"])
    assert results(found) == {"T-02": "pass"}
    assert watch.events == ["started first", "ended first", "started second", "ended second"]


def test_steps_that_do_not_wait_for_each_other_go_side_by_side(benches: Benches) -> None:
    both = threading.Barrier(2, timeout=30)
    steps = [step(name, lambda *_: both.wait(), id_=id_) for name, id_ in (("a", "T-01"), ("b", "T-02"))]
    assert results(run(steps, benches)) == {"T-01": "pass", "T-02": "pass"}


def test_what_could_not_be_gathered_is_skipped_and_so_is_what_needs_it(benches: Benches) -> None:
    def gather(*_: object) -> None:
        raise NotTried("there is no GPU")

    found = run([step("first", gather), step("second", needs=["first"], id_="T-02")], benches)
    assert [(each.result, each.verdict.seen) for each in found] == [("skip", "there is no GPU")] * 2


def test_an_error_of_the_engine_ends_the_check(benches: Benches) -> None:
    waits = threading.Event()

    def gather(*_: object) -> None:
        waits.set()
        raise ByocError("the engine is gone")

    with pytest.raises(ByocError, match="the engine is gone"):
        run([step("first", gather)], benches)
    assert waits.is_set()
    assert benches.cancelled.is_set()


def test_only_a_must_can_fail(benches: Benches) -> None:
    made: Step[Any] = Step("step", "step", "looks", lambda *_: None)
    made.rule("T-07", "a SHOULD", "remedy")(lambda _: failed("seen", "fix", "cloud"))
    assert run([made], benches)[0].verdict == Verdict("warn", "seen", "cloud", "fix")


def test_a_rule_of_several_steps_is_taken_for_the_weightiest(benches: Benches) -> None:
    steps = [step("first", id_="I-01"), step("second", id_="I-01")]
    steps[1].rules.clear()
    steps[1].rule("I-01", "a sentence", "a remedy")(lambda _: failed("seen"))
    assert [(each.result, each.rule.step.name) for each in run(steps, benches)] == [("fail", "second")]


def test_findings_are_in_the_order_of_the_contract() -> None:
    found = weightiest([finding(id_, passed("")) for id_ in ("I-06", "H-01", "T-60", "T-01")])
    assert [each.rule.id for each in found] == ["T-01", "T-60", "H-01", "I-06"]


def test_without_a_word_of_its_own_a_finding_has_the_rule_s_remedy() -> None:
    assert finding("T-60", failed("seen")).fix.startswith("remove the USER line")
    assert finding("T-60", warned("seen", "this")).fix == "this"
    assert finding("T-60", passed("seen")).fix == ""


def test_a_container_is_labelled_and_removed(benches: Benches, engine: FakeEngine) -> None:
    def gather(bench: Bench, _: Mapping[str, Any]) -> str:
        with bench.container("step", network="none") as container:
            (thing,) = engine.things()
            assert (thing.kind, thing.job, thing.name) == ("check", bench.job, container.name)
            assert thing.image == "image:1"
        return "done"

    assert results(run([step("first", gather)], benches)) == {"T-01": "pass"}


def test_a_signal_removes_what_was_made_and_ends_all_steps(benches: Benches, engine: FakeEngine) -> None:
    ready = threading.Barrier(2, timeout=30)
    ended: list[str] = []

    def gather(bench: Bench, _: Mapping[str, Any]) -> None:
        with bench.container(f"of-{threading.get_ident()}"):
            if ready.wait() == 0:  # one of both
                os.kill(os.getpid(), signal.SIGINT)
            bench.cancelled.wait(30)
        ended.append("ended")

    with pytest.raises(Interrupted) as caught:
        run([step("a", gather), step("b", gather, id_="T-02")], benches)
    assert caught.value.exit_code == 130
    assert ended == ["ended", "ended"]


def test_nothing_is_made_after_a_signal(benches: Benches) -> None:
    benches.cancelled.set()
    with pytest.raises(Cancelled), benches.bench().container("late"):
        pass


# -- the choice --------------------------------------------------------------------------------------------------------


def chosen(only: Sequence[str] = (), skip: Sequence[str] = (), asked: Sequence[str] = ()) -> set[str]:
    return {rule.id for rule in selection.chosen(STEPS, only, skip, asked=asked)}


def test_without_a_word_all_but_the_registry_are_chosen() -> None:
    assert {"T-01", "H-01", "I-01", "I-06"} <= chosen()
    assert "I-05" not in chosen()
    assert "I-05" in chosen(asked=["registry"])
    assert chosen(["registry"]) == {"I-01", "I-03b", "I-05", "H-33"}
    assert chosen(["I-05"]) == {"I-05"}


def test_parts_ids_and_steps_choose() -> None:
    assert chosen(["train"]) >= {"T-01", "I-06"}
    assert "H-01" not in chosen(["train"])
    assert "T-01" not in chosen(["serve"])
    assert chosen(["serve"]) >= {"H-01", "I-06", "T-60"}, "T-60 is H-02's, too"
    assert chosen(["T-01,i-06"]) == {"T-01", "I-06"}
    assert chosen(["I-09"]) == {"T-60"}, "it is checked by that"
    assert {"T-01", "T-60"} <= chosen(["static"]) < chosen()
    assert chosen(["train-stop"]) == {"T-40", "T-41", "T-52"}
    assert "T-47" not in chosen(["train"]), "two hosts are asked for"
    assert "T-47" in chosen(asked=["train-hosts"])


def test_skipping() -> None:
    assert "T-01" not in chosen(skip=["T-01"])
    assert "I-06" in chosen(skip=["train"]), "it is about both"
    assert {"H-01"} <= chosen(skip=["train"])
    assert "T-29" not in chosen(skip=["train"])


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trian", "did you mean train?"),
        ("statc", "did you mean static?"),
        ("I-066", "did you mean I-06?"),
        ("xyz", "byoc check --list shows them"),
    ],
)
def test_a_word_that_is_none_names_the_nearest(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"--only {word}: there is no such step or rule") as caught:
        chosen([word])
    assert caught.value.hint == hint


def test_nothing_left_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no rule is left to try"):
        chosen(["I-04"], ["static"])
