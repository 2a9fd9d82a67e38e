"""Where the files of a build's context are in the image, as the Dockerfile says it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from byoc_cli.engine.dockerfile import Instruction
from byoc_cli.engine.steps import Use

_USUAL_FOLDER = re.compile(
    r"/(usr/)?(local/)?(bin|sbin|lib|share|src)|/usr(/local)?|/(boot|etc|home|media|mnt|opt|root|srv|tmp|var(/lib|/log)?)"
)


@dataclass(frozen=True)
class Placed:
    """A file of the context in the image, by the COPY or ADD of a line.

    `chmod` is what --chmod says; `direct` says that COPY names it itself, so that a symbolic link is followed; `step`
    is the COPY's number among all of the file, `after` how many RUN stood before it. The last `shared` parts of both
    paths are the same because a folder is.
    """

    source: str
    line: int = 0
    chmod: str = ""
    direct: bool = False
    step: int = 0
    after: int = 0
    shared: int = 0

    @property
    def mode(self) -> int | None:
        """Return the mode that --chmod says in full; None for the file's own."""
        return int(self.chmod, 8) if re.fullmatch(r"[0-7]{3,4}", self.chmod) else None

    def folders(self, place: str) -> tuple[str, str]:
        """Say which folder of the context is where; of a file that has another name there it is the file itself."""
        source = self.source.split("/")
        return "/".join(source[: len(source) - self.shared]), "/".join(place.split("/")[: -self.shared or None]) or "/"


class Read(NamedTuple):
    """An instruction, and the variables as they are where it stands."""

    line: Instruction
    values: Mapping[str, str]


@dataclass(frozen=True)
class Placement:
    """What of the context is where in the image: absolute path to file.

    `used` has the files that a step of the build has used, so that only a build makes all of a change to them;
    `owned` says that a step gives files another owner than root. `remade` are files of which a RUN may have made
    something else before they were copied on from its stage; `made` are paths whose content only the build knows,
    `absent` are sources that are not there, and their lines. `lines` is all that the image is made of, from its first
    `base` on, `folder` and `environment` what WORKDIR and ENV come to.
    """

    files: Mapping[str, Placed]
    used: Mapping[str, Use]
    owned: bool = False
    remade: Mapping[str, Placed] = field(default_factory=dict)
    made: Sequence[str] = ()
    absent: Sequence[tuple[str, int]] = ()
    lines: Sequence[Read] = ()
    base: str = ""
    folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def copied(self) -> dict[str, Placed]:
        """All files of the context that are there, `remade` or not."""
        return {**self.remade, **self.files}


def usual_folder(path: str) -> bool:
    """Whether images have such a folder: where the image itself cannot be asked."""
    return bool(_USUAL_FOLDER.fullmatch(path))
