"""What is known of an image after it was let train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training import causes
from byoc_cli.check.training.attempt import Wanted
from byoc_cli.check.training.causes import Cause
from byoc_cli.check.training.ran import Ran


@dataclass(frozen=True)
class TrainingFacts:
    """How `train` does on good input.

    `reason` is why it was not let train, "" where it was; `causes` is what its failures are put down to. `strict` is
    how it did without a network and with data that it cannot write to, `ran` the same where that went well, else how it
    did with a network and writable data. `model` is a folder with the model that it made, None where it made none.
    `own_data` says that the channels are the user's; otherwise it had one small file of numbers.
    `named` are hyperparameters that its `source` speaks of, with their defaults. `unbuffered` is how it did with
    PYTHONUNBUFFERED, None where it did not print all at its end.
    """

    image: ImageFacts
    reason: str = ""
    causes: Sequence[Cause] = ()
    ran: Ran = field(default_factory=Ran)
    strict: Ran = field(default_factory=Ran)
    model: Path | None = None
    own_data: bool = False
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    unbuffered: Ran | None = None

    @property
    def failure(self) -> str:
        """Why it did not end well, or what to give it so that it may; "" where it did, or was stopped."""
        if self.ran.code == 0 or self.ran.stopped:
            return ""
        if rule := next((each.id for each in reversed(self.causes) if each.id.startswith("T-")), ""):
            return f"it did not end well ({rule})"
        if self.cause(causes.GPU):
            return "it needs a GPU, which a check does not give"
        if self.own_data or self.ran.refused or self.cause(causes.ITSELF):
            return "it did not end well (T-31)"
        return f"it could not train on a small file of numbers, give it data: {self.wanted}"

    @property
    def wanted(self) -> str:
        """The options that give it data of its own, and hyperparameters if it had none."""
        channel = self.cause(causes.CHANNEL)
        data = f"--channel {channel.name}=PATH" if channel else "--channel NAME=PATH"
        return data if channel or self.hyperparameters else f"{data}, --hyperparam K=V"

    def again(self, name: str, timeout: float, **more: Any) -> Wanted:
        """How it is run once more: as the good run went well, but for what is given."""
        return replace(
            Wanted(name, timeout, isolated=self.ran is self.strict, hyperparameters=self.hyperparameters), **more
        )

    def cause(self, id_: str) -> Cause | None:
        """What a failure is put down to, if it is that."""
        return next((each for each in self.causes if each.id == id_), None)
