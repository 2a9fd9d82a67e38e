"""Each folder of templates/ is a test: `byoc init` makes a project of it, and its README is typed, line by line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from byoc_cli import templates
from tests import ports
from tests.integration.world import BYOC, Byoc, environment

pytestmark = pytest.mark.integration

NAMES = [template.name for template in templates.available()]
BUILDS_LONG = 3600  # s: some install gigabytes


class Project:
    """A folder that `byoc init` made, in which commands are typed."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.env = env

    def types(self, command: str) -> str:
        """Type it into a shell; returns what it printed on stdout."""
        ran = self.tries(command)
        assert ran.returncode == 0, f"$ {command}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def tries(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type what may fail."""
        words = ["bash", "-c", command]
        return subprocess.run(words, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)


@pytest.fixture
def project(request: pytest.FixtureRequest, byoc: Byoc, tag: str, tmp_path: Path) -> Iterator[Project]:
    """A project of the template that is the parameter; its image has a name of this session's."""
    name = str(request.param)
    made = byoc("init", f"my-{name}", "--template", name, cwd=tmp_path)
    assert (made.code, made.stdout) == (0, f"my-{name}\n"), made.stderr
    own = {"BYOC_IMAGE": f"byoc-template-{name}:{tag}", "BYOC_PORT": str(ports.free_port())}
    env = environment(own)
    env["PATH"] = f"{Path(BYOC).parent}:{env['PATH']}"
    made_project = Project(tmp_path / f"my-{name}", env)
    yield made_project
    subprocess.run([BYOC, "stop", "-q"], cwd=made_project.folder, env=env, capture_output=True, check=False)


def what_check_says(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what failed, and what it warns of."""
    assert ran.stdout, ran.stderr
    rules = json.loads(ran.stdout)["rules"]
    return [f"{each['result']} {each['id']}: {each['seen']}" for each in rules if each["result"] in {"fail", "warn"}]


@pytest.mark.timeout(BUILDS_LONG)
@pytest.mark.parametrize("project", NAMES, indirect=True)
def test_what_a_template_s_readme_says_works_and_check_has_nothing_to_say(project: Project) -> None:
    for command in templates.read(project.folder).commands:
        if command.startswith("byoc check"):
            checked = project.tries(f"{command} --strict --json")
            assert what_check_says(checked) == []
            assert checked.returncode == 0, checked.stderr
        else:
            printed = project.types(command)
            assert printed.strip() or not command.startswith("byoc predict"), f"$ {command}: no answer"
    archive = project.folder / ".byoc" / "latest" / "model.tar.gz"
    assert archive.stat().st_size > 0
