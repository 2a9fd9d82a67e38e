"""`byoc adopt`, and then all that its byoc.toml is good for, with a real engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.test_upkeep import answer_on_a_terminal
from tests.integration.world import BYOC, Byoc

pytestmark = pytest.mark.integration

ADOPTED = Path(__file__).parents[1] / "adopted"
IMAGE = "sagemaker-means"


@pytest.fixture
def sample(tmp_path: Path, docker_client: docker.DockerClient) -> Iterator[Path]:
    """A folder in the shape of AWS's sample; its image is removed again."""
    yield Path(shutil.copytree(ADOPTED / "aws-sample", tmp_path / "aws-sample"))
    if docker_client.images.list(IMAGE):
        docker_client.images.remove(IMAGE, force=True)


def test_an_aws_sample_is_adopted_built_trained_served_and_asked(byoc: Byoc, sample: Path) -> None:
    adopted = byoc("adopt", "--yes", "--json", cwd=sample)
    assert adopted.code == 0, adopted.stderr
    assert adopted.json()["written"] is True
    # From here on nothing is said that stands in byoc.toml.
    built = byoc("build", "-q", cwd=sample)
    assert built.stdout == f"{IMAGE}:latest\n", built.stderr
    trained = byoc("local-train", "--json", cwd=sample)
    assert trained.code == 0, trained.stderr
    home = sample / "container/.byoc/latest"
    assert json.loads((home / "input/config/hyperparameters.json").read_text()) == {
        "rounds": "2",
        "label": "0",
        "shuffle": "true",
    }
    assert set(json.loads((home / "model/means.json").read_text())) == {"setosa", "virginica"}
    assert [each["MetricName"] for each in json.loads((home / "job.json").read_text())["FinalMetricDataList"]] == [
        "classes"
    ]
    # The sample, as the type that predict.sh sends it; one endpoint for it, which goes again.
    asked = byoc("predict", cwd=sample)
    assert asked.stdout.split() == ["setosa", "virginica"], asked.stderr


def test_what_it_says_of_the_sample_is_what_check_says(byoc: Byoc, sample: Path) -> None:
    """Read from the files T-40; with a container that runs, too, and no rule that was judged here is broken there."""
    said = {each["id"] for each in byoc("adopt", "--yes", "--json", cwd=sample).json()["missing"]}
    assert byoc("build", "-q", cwd=sample).code == 0
    checked = byoc("check", "--only", "static,T-32,T-34,T-40,T-45", "--json", cwd=sample).json()
    broken = {each["id"] for each in checked["rules"] if each["result"] in {"fail", "warn"}}
    assert said == broken == {"T-40"}


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_it_is_shown_and_asked(answer: str, written: bool, sample: Path) -> None:
    code, shown = answer_on_a_terminal([BYOC, "adopt"], sample, answer)
    file = sample / "container/byoc.toml"
    assert code == 0
    assert shown.index("[train.hyperparameters]") < shown.index("T-40") < shown.index(f"write {file}? [y/N]")
    assert file.exists() == written
    assert ("nothing was written" in shown) != written


def test_a_folder_that_may_not_be_written_is_read_all_the_same(
    byoc: Byoc, sample: Path, unprivileged: tuple[str, ...]
) -> None:
    home = sample / "container"
    home.chmod(0o555)
    try:
        shown = byoc("adopt", cwd=sample, before=unprivileged)
        refused = byoc("adopt", "--yes", cwd=sample, before=unprivileged)
    finally:
        home.chmod(0o755)
    assert (shown.code, shown.stdout) == (0, (ADOPTED / "aws-sample.toml").read_text()), shown.stderr
    assert refused.code == 3
    assert "byoc.toml cannot be written\nPermission denied\n" in refused.error
    assert not list(home.glob("*byoc.toml*"))
