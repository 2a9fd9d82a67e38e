"""What is known of an image after it was let train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from byoc_cli.check.static.facts import ImageFacts


@dataclass(frozen=True)
class Ran:
    """One container that was started with `train`, from its start to its end.

    `code` is None where the engine could not start it, and `refused` says why. `stopped` tells that it was told to end,
    or killed, because it took too long. `failure` is what it wrote to /opt/ml/output/failure, None for no such file;
    `model`, `output`, `checkpoints` are the names below these folders, `links` the lines about symbolic links in the
    model. `first_word` is when it printed something, in seconds after the start. `elsewhere` are files that it made
    outside of /opt/ml, which no job keeps.
    """

    code: int | None = 0
    seconds: float = 0.0
    log: str = ""
    failure: str | None = None
    model: Sequence[str] = ()
    output: Sequence[str] = ()
    checkpoints: Sequence[str] = ()
    links: Sequence[str] = ()
    elsewhere: Sequence[str] = ()
    first_word: float | None = None
    stopped: bool = False
    out_of_memory: bool = False
    refused: str = ""
    host: str = "algo-1"

    @property
    def completed(self) -> bool:
        """Whether the cloud would call the job Completed."""
        return self.code == 0 and not self.stopped

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, and the cloud would call the job Failed."""
        return self.code != 0 and not self.stopped


@dataclass(frozen=True)
class TrainingFacts:
    """How `train` does on good input.

    `reason` is why it was not let train, "" where it was. `strict` is how it did without a network and with data that
    cannot be written to; `ran` is the same where that went well, else how it did with a network and writable data.
    `model` is a folder with the model that it made, None where it made none. `own_data` says that the channels are the
    user's; otherwise it had one small file of numbers.
    """

    image: ImageFacts
    reason: str = ""
    ran: Ran = field(default_factory=Ran)
    strict: Ran = field(default_factory=Ran)
    model: Path | None = None
    own_data: bool = False
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)

    @property
    def relaxed(self) -> bool:
        """Whether it was run once more, with a network and writable data."""
        return self.ran is not self.strict
