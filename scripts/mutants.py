"""Try every rule on every mutant and write docs/mutants.json, of which docs/check.md is made (make mutants).

With names only those mutants are tried anew: `python -m scripts.mutants no-train crlf`.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import docker

from byoc_cli.app import main
from byoc_cli.check.table import STEPS
from tests.integration.check.images import GOOD, built, findings
from tests.integration.check.mutants import MUTANTS

FILE = Path(__file__).parents[1] / "docs" / "mutants.json"


def table(client: docker.DockerClient, good: str, tag: str, folder: Path) -> list[dict[str, Any]]:
    """What each mutant's check says: the rules that were broken, and how."""
    before = {row["name"]: row for row in json.loads(FILE.read_text(encoding="utf-8"))} if FILE.exists() else {}
    names = sys.argv[1:]
    rows: list[dict[str, Any]] = []
    for mutant in MUTANTS:
        if names and mutant.name not in names and mutant.name in before:
            rows.append(before[mutant.name])
            continue
        start = time.monotonic()
        asked = [step.name for step in STEPS if step.asked and any(rule.id in mutant.caught for rule in step.rules)]
        found = findings(built(client, mutant.recipe, good, tag), folder, asked=asked, timeout=mutant.timeout)
        wrong = {id_: each.result for id_, each in found.items() if each.result in {"fail", "warn"}}
        missed = {id_ for id_, result in mutant.caught.items() if wrong.get(id_) != result}
        print(
            f"{mutant.name:<28} {time.monotonic() - start:5.1f} s  {wrong}{'  MISSED ' if missed else ''}", flush=True
        )
        rows.append({"name": mutant.name, "change": mutant.change, "expected": dict(mutant.caught), "found": wrong})
    return rows


def run() -> int:
    """Build, check, write, remove."""
    tag = f"mutants-{secrets.token_hex(4)}"
    good = f"byoc-good:{tag}"
    client = docker.from_env()
    try:
        with tempfile.TemporaryDirectory() as folder:
            if code := main(["build", str(GOOD), "--quiet", "--tag", good]):
                return code
            rows = table(client, good, tag, Path(folder))
    finally:
        for image in client.api.images():
            for reference in image["RepoTags"] or []:
                if reference.endswith(f":{tag}"):
                    client.api.remove_image(reference, force=True)
    FILE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return subprocess.run([sys.executable, Path(__file__).with_name("docs.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(run())
