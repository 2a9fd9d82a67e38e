"""`--as sdk-v3`: an image started as ModelTrainer has it started (T-09)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import Build
from tests.integration.world import STAND_IN, Byoc, job_of, make_project

pytestmark = pytest.mark.integration

TRAIN = """\
import json, os, sys
json.dump([sys.argv[1:], os.getcwd(), dict(os.environ)], open(os.environ["SM_MODEL_DIR"] + "/seen.json", "w"))
open("written-beside-the-code", "w").close()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of an image with nothing but Debian, bash and Python, and a folder of code."""
    folder = make_project(tmp_path / "project", STAND_IN)
    (folder / "src").mkdir()
    (folder / "src" / "train.py").write_text(TRAIN)
    (folder / "src" / "fail.sh").write_text("#!/bin/bash\necho to stdout\necho to stderr >&2\nexit 6\n")
    return folder


def test_t09_t29_t30_a_script_with_drivers_of_byoc_s(byoc: Byoc, project: Path) -> None:
    words = ("--as", "sdk-v3", "--channel", "code=src", "--entry-script", "train.py", "--instance-count", "2")
    ran = byoc("local-train", *words, "--hyperparam", "batch-size=32", "--hyperparam", "text=it's", cwd=project)
    assert ran.code == 0, ran.stderr
    job = job_of(project, ran)
    arguments, folder, environment = json.loads((job.folder / "hosts/algo-2/model/seen.json").read_text())
    assert (arguments, folder) == (["--batch-size", "32", "--text", "it's"], "/opt/ml/input/data/code")
    assert environment["SM_HP_BATCH_SIZE"] == "32"
    assert environment["SM_HP_TEXT"] == "it's"
    assert json.loads(environment["SM_CHANNELS"]) == ["code", "sm_drivers"]
    assert (environment["SM_CURRENT_HOST"], environment["SM_CURRENT_HOST_RANK"]) == ("algo-2", "1")
    assert environment["SM_CHANNEL_CODE"] == "/opt/ml/input/data/code"
    assert environment["SM_OUTPUT_FAILURE"] == "/opt/ml/output/failure"
    assert sorted(path.name for path in (project / "src").iterdir()) == ["fail.sh", "train.py"], "never changed"
    request = job.description["AlgorithmSpecification"]
    assert request["ContainerEntrypoint"] == ["/bin/bash"]
    assert request["ContainerArguments"][0] == "-c"


def test_a_script_that_fails(byoc: Byoc, project: Path) -> None:
    ran = byoc("local-train", "--as", "sdk-v3", "--channel", "code=src", "--entry-script", "fail.sh", cwd=project)
    assert ran.code == 1
    assert "FailureReason: AlgorithmError: fail.sh returned non-zero exit status 6., exit code: 6" in ran.error
    # Two streams of one container: the engine keeps the order within each, none between them.
    assert sorted(job_of(project, ran).log.splitlines()) == [b"to stderr", b"to stdout"]
    assert (project / "src" / "fail.sh").stat().st_mode & 0o111 == 0, "made executable in the container only"


def test_t09_drivers_of_the_user_s(byoc: Byoc, project: Path) -> None:
    (project / "drivers").mkdir()
    (project / "drivers" / "sm_train.sh").write_text("#!/bin/bash\necho mine; env | grep ^SM_; exit 0\n")
    ran = byoc("local-train", "--as", "sdk-v3", "-c", "code=src", "-c", "sm_drivers=drivers", cwd=project)
    assert ran.code == 0, ran.stderr
    # No SM_* variable is the platform's (T-29).
    assert job_of(project, ran).log == b"mine\n"
    assert (project / "drivers" / "sm_train.sh").stat().st_mode & 0o111 == 0


def test_t09_an_image_without_bash(byoc: Byoc, build: Build, project: Path) -> None:
    words = ("--as", "sdk-v3", "--channel", "code=src", "--entry-script", "train.py")
    ran = byoc("local-train", build("broken", "no-bash"), *words, cwd=project)
    assert ran.code == 1
    assert "/bin/bash: no such file or directory" in ran.error
    assert ran.error.rstrip().endswith("hint: ModelTrainer starts an image with /bin/bash: install bash in it (T-09)")
