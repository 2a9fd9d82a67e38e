"""Documents that cannot drift."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from byoc_cli import project

REPOSITORY = Path(__file__).parents[2]


def test_commands_page_is_what_help_says() -> None:
    # A process of its own: --help looks at the terminal's width.
    checked = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_readme_project_file_is_valid_and_complete(tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- tested: byoc.toml -->\n```toml\n(.*?)```", readme, re.DOTALL)
    assert block
    (tmp_path / "byoc.toml").write_text(block[1], encoding="utf-8")
    loaded = project.load(tmp_path, {})
    assert loaded.image == "my-model"
    assert loaded.train.hyperparameters == {"train-steps": "100"}
    assert loaded.predict.image == project.PictureSettings(size=(32, 32), color="RGB")


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "container" / "README.md"]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
