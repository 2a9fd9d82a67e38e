"""The good run: lets `train` work on data that it can use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.model import Step
from byoc_cli.check.static import exec_rules, start_rules
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training import causes, sources
from byoc_cli.check.training.attempt import Wanted, attempt, job_of
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.check.training.ran import Ran
from byoc_cli.check.training.server_watch import ServerWatch
from byoc_cli.contract import hosting

_RELAXED = {"T-59", "T-74", causes.CHANNEL, causes.ELSEWHERE}
"""What may be another way with a network and writable data."""
_OF_A_SHELL = {2, 126, 127}  # what a shell or env ends with that finds no program
_NOT_EXECUTED = re.compile(r"^exec /\S+: (?:exec format error|no such file or directory)$", re.MULTILINE)

_UNBUFFERED = "PYTHONUNBUFFERED"

_MAKES_VARIABLES = re.compile(r"""SM_CHANNEL_["'{$]|SM_CHANNEL_\w*=|environ\[["']SM_CHANNEL_\w*["']\]\s*=[^=]""")


def train(bench: Bench, have: Mapping[str, Any]) -> TrainingFacts:
    """Let it train without a network, on data that it cannot write to; once more with both, if that fails."""
    image: ImageFacts = have["static"]
    if bench.order.model and not bench.wanted:
        return TrainingFacts(image, "it has the model of --model")
    if reason := start_rules.no_use(image, image.train) or bench.order.no_training:
        return TrainingFacts(image, reason)
    runs = _Runs(bench, image)
    strict = runs.run("good", isolated=True, read_only=True)
    if runs.serves(strict):
        return TrainingFacts(image, f"{causes.DOES_NOT_TRAIN}with the word `train`, too, it listens on {hosting.PORT}")
    if line := causes.refusal(strict, "train"):
        return TrainingFacts(image, f"{causes.DOES_NOT_TRAIN}{line[:200]}")
    if _cannot_be_executed(image, strict):
        return TrainingFacts(image, "`train` cannot be executed (I-06)")
    if runs.lacks_hyperparameters(strict):
        runs.given = runs.named
        strict = runs.run("good-named", isolated=True, read_only=True)
    ran, known = _again(runs, strict)
    made, unbuffered = runs.last, None
    if ran.completed and ran.said_late and _runs_python(image) and not runs.sets(_UNBUFFERED):
        unbuffered = runs.run("good-unbuffered", isolated=ran is strict, environment={_UNBUFFERED: "1"})
    found = dict.fromkeys(each for each in (known, *map(runs.cause, (strict, ran))) if each)
    return TrainingFacts(
        image,
        causes=list(found),
        ran=ran,
        strict=strict,
        model=bench.folder / made / "model" if ran.code == 0 and ran.model else None,
        own_data=bool(bench.order.training and bench.order.training.channels),
        hyperparameters=runs.given,
        named=runs.named,
        metrics=runs.job.metrics,
        source=runs.source,
        unbuffered=unbuffered,
    )


class _Runs:
    """The runs with data that it can use, and what their ends are put down to."""

    def __init__(self, bench: Bench, image: ImageFacts) -> None:
        self.job = job_of(bench)
        self.given = self.job.hyperparameters
        texts = list(sources.texts(bench, image))
        self.named = sources.hyperparameters(texts, image)
        self.last = ""
        self.source = "\n".join(texts)
        self._bench = bench
        self._image = image
        self._makes_variables = image.toolkit != "" or bool(_MAKES_VARIABLES.search(self.source))

    def run(self, name: str, **more: Any) -> Ran:
        """Run it as it is called; `more` is more of what is wanted."""
        self.last = name
        wanted = Wanted(name, self._bench.order.timeout, hyperparameters=self.given, **more)
        self._server = ServerWatch(f"byoc-{self._bench.job}-{name}")
        return attempt(self._bench, wanted, self._server)[0]

    def serves(self, ran: Ran) -> bool:
        """Whether what was run last is a server: whatever it is told, it listens, and makes no model."""
        return self._server.answers or (self._server.listens and ran.stopped and not ran.model)

    def sets(self, variable: str) -> bool:
        """Whether the image or the job sets a variable."""
        return bool({**self._image.image.config.environment, **self.job.environment}.get(variable))

    def cause(self, ran: Ran) -> causes.Cause | None:
        """Say why it failed, as far as that is known."""
        if not ran.code:
            return None
        names = [channel.name for channel in self.job.channels]
        found = causes.cause(ran, channels=names, strings=bool(self.given))
        found = found or causes.missing_variable(ran.log, self.source)
        return causes.of_what_was_not_given(found) if found and self._makes_variables else found

    def lacks_hyperparameters(self, ran: Ran) -> bool:
        """Whether it had none, and wants one that its source names."""
        wanted = re.search(r"KeyError: '([\w.-]+)'", ran.log)
        return bool(ran.failed and not self.given and wanted and wanted[1] in self.named)


def _again(runs: _Runs, strict: Ran) -> tuple[Ran, causes.Cause | None]:
    """Let it have what it may lack: (how it ended, what the first failure is put down to).

    Where its words tell nothing, data that it can write to comes first, and alone.
    """
    known = runs.cause(strict)
    if strict.failed and not strict.refused and not known:
        ran = runs.run("good-writable", isolated=True)
        if ran.completed:
            return ran, causes.Cause("T-59", strict.end)
    return (runs.run("good-again") if _may_go_better(strict, known) else strict), known


def _runs_python(image: ImageFacts) -> bool:
    start = image.train  # a shell script may start it
    return bool(re.search(r"\bpython", f"{start.on_path.shebang or ''} {start.program.path} {start.on_path.text}"))


def _cannot_be_executed(image: ImageFacts, ran: Ran) -> bool:
    """Whether its file is at fault, which the static part tells of."""
    if _NOT_EXECUTED.search(ran.log):
        return True
    return (bool(ran.refused) or ran.code in _OF_A_SHELL) and exec_rules.can_be_executed(image).result == "fail"


def _may_go_better(strict: Ran, cause: causes.Cause | None) -> bool:
    """Whether a network and writable data may make a difference."""
    if strict.refused or strict.code == 0:
        return False
    waits = strict.stopped and cause is not None and cause.id == "T-74"
    return waits or (not strict.stopped and (cause is None or cause.id in _RELAXED))


TRAIN_GOOD: Step[TrainingFacts] = Step(
    "train-good", "train", "lets it train, without a network", train, needs=("static",)
)


good = rules_of(TRAIN_GOOD)
