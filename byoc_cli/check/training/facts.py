"""What is known of an image after it was let train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from byoc_cli.check.static.facts import ImageFacts
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
    `named` are hyperparameters that its `source` speaks of, with their defaults.
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

    def again(self, name: str, timeout: float, **more: Any) -> Wanted:
        """How it is run once more: as the good run went well, but for what is given."""
        return replace(
            Wanted(name, timeout, isolated=self.ran is self.strict, hyperparameters=self.hyperparameters), **more
        )

    def cause(self, id_: str) -> Cause | None:
        """What a failure is put down to, if it is that."""
        return next((each for each in self.causes if each.id == id_), None)
