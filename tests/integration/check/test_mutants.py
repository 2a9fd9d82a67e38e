"""Every mutant is caught by its own rules; on the good image all hold."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from byoc_cli.check.table import STEPS
from tests.integration.check.conftest import Make
from tests.integration.check.images import File, findings, loaded
from tests.integration.check.mutant import Mutant
from tests.integration.check.mutants import ARM64, MUTANTS, elf

# What no image that can be built here breaks: it has a test of its own.
ELSEWHERE = {
    "I-01": "tests/integration/check/test_registry.py",
    "I-03b": "tests/integration/check/test_registry.py",
    "I-05": "tests/unit/test_check_rules.py",
    "H-33": "tests/integration/check/test_registry.py",
    "I-04": "test_i04_an_image_for_arm64",
    "I-10": "tests/unit/test_check_rules.py",
    "I-16": "for information",
    "T-09": "for information",
    "H-19": "for information",
    "H-20": "tests/unit/test_check_serving.py",
    "H-24": "for information",
    "H-45": "for information",
    "T-70": "tests/unit/test_check_training.py",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: "-".join([*mutant.caught, mutant.name]))
def test_a_mutant_is_caught(make: Make, folder: Path, mutant: Mutant) -> None:
    found = findings(make(mutant.recipe), folder, list(mutant.caught), timeout=mutant.timeout)
    assert {id_: found[id_].result for id_ in mutant.caught} == mutant.caught
    for id_ in mutant.caught:
        assert found[id_].verdict.seen
        assert found[id_].fix


def test_i04_an_image_for_arm64(docker_client: docker.DockerClient, tag: str, folder: Path) -> None:
    files = {f"usr/local/bin/{name}": File(elf(ARM64)) for name in ("train", "serve")}
    image = loaded(docker_client, files, f"byoc-check-arm64:{tag}", "arm64")
    found = findings(image, folder, ["static"])
    assert [id_ for id_, each in found.items() if each.result in {"fail", "warn"}] == ["I-04"]
    assert "linux/arm64" in found["I-04"].verdict.seen
    assert "exec format error" in found["I-04"].verdict.cloud


def test_the_good_image_breaks_no_rule(good: str, folder: Path) -> None:
    found = findings(good, folder)
    assert {id_: each.verdict.seen for id_, each in found.items() if each.result in {"fail", "warn"}} == {}
    assert [id_ for id_, each in found.items() if each.result == "skip"] == ["T-70", "H-45", "H-47", "I-16"]


def test_every_rule_has_a_mutant() -> None:
    caught = {id_ for mutant in MUTANTS for id_ in mutant.caught} | set(ELSEWHERE)
    assert {rule.id for step in STEPS for rule in step.rules} - caught == set()


def test_names_are_unique_and_good_for_an_image() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and Path(name).name == name for name in names)
