"""Facts of an image that breaks no rule, for tests that break one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from byoc_cli.check.model import Finding, Verdict
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.static.programs import Program, Start
from byoc_cli.check.table import STEPS
from byoc_cli.check.training.facts import TrainingFacts
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract.image import ACCEPTED
from byoc_cli.engine.types import Image, ImageConfig

PYTHON = Program("python3", "/usr/bin/python3", machine="amd64")


def script(word: str, text: str = "#!/usr/bin/env python3\n") -> Program:
    """A script on PATH."""
    return Program(word, f"/usr/local/bin/{word}", text=text, shebang=" /usr/bin/env python3", interpreter=PYTHON)


def start(word: str, **changes: Any) -> Start:
    """A start without ENTRYPOINT."""
    return replace(Start(word, [word], script(word), on_path=script(word)), **changes)


def facts(config: ImageConfig | None = None, *, size: int = 1, **changes: Any) -> ImageFacts:
    """Facts of a sound image, with changes."""
    labels: Mapping[str, str] = changes.pop("labels", {})
    architecture = changes.pop("of", "amd64")
    image = Image("sha256:1", ["a:1"], [], 0, architecture, "linux", size, labels, config=config or ImageConfig())
    sound = ImageFacts(image, "amd64", start("train"), start("serve"), "/bin/bash", PYTHON.path, manifest=ACCEPTED)
    return replace(sound, **changes)


_OF_FACTS = {each.name for each in fields(TrainingFacts)} - {"model"}  # that is the run's here


def trained(image: ImageFacts | None = None, **changes: Any) -> TrainingFacts:
    """Facts of a good run, with changes of the run or of the facts."""
    own = {name: changes.pop(name) for name in list(changes) if name in _OF_FACTS}
    ran = replace(Ran(seconds=1.0, log="epoch=1", model=["model.json"], first_word=0.1), **changes)
    return replace(TrainingFacts(image or facts(), ran=ran, strict=ran), **own)


def judged(id_: str, given: object, step: str = "static") -> Verdict:
    """What a rule says of facts."""
    return next(rule.judge(given) for each in STEPS if each.name == step for rule in each.rules if rule.id == id_)


def finding(id_: str, verdict: Verdict, seconds: float = 0.0) -> Finding:
    """A rule's finding."""
    return Finding(next(rule for step in STEPS for rule in step.rules if rule.id == id_), verdict, seconds)


def results(findings: Sequence[Finding]) -> dict[str, str]:
    """Results by rule id."""
    return {each.rule.id: each.result for each in findings}
