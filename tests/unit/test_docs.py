"""Documents that cannot drift."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from byoc_cli import project
from byoc_cli.contract.rules import RULES, Rule
from scripts import contract_page
from scripts.contract_page import Fidelity

REPOSITORY = Path(__file__).parents[2]
A_TEST = "tests/unit/test_docs.py::test_every_rule_has_a_status_and_every_test_named_is_there"


def docs(*words: str | Path) -> subprocess.CompletedProcess[str]:
    # A process of its own: --help looks at the terminal's width.
    script = REPOSITORY / "scripts" / "docs.py"
    return subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)


def test_the_pages_are_what_the_program_says() -> None:
    checked = docs("--check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_an_old_page_and_a_missing_one_are_named(tmp_path: Path) -> None:
    assert docs(tmp_path).returncode == 0
    assert sorted(page.name for page in tmp_path.iterdir()) == ["check.md", "commands.md", "contract.md"]
    (tmp_path / "commands.md").unlink()
    with (tmp_path / "contract.md").open("a") as page:
        page.write("by hand\n")
    checked = docs("--check", tmp_path)
    assert checked.returncode == 1
    assert checked.stderr.splitlines() == [
        "commands.md is old: python scripts/docs.py",
        "contract.md is old: python scripts/docs.py",
    ]
    assert not (tmp_path / "commands.md").exists(), "a check writes nothing"


# -- the contract ------------------------------------------------------------------------------------------------------


def test_every_rule_has_a_status_and_every_test_named_is_there() -> None:
    assert list(contract_page.problems(contract_page.read())) == []


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (Fidelity("emulated", tests=(A_TEST,)), ""),
        (Fidelity("emulated", "but for", (A_TEST,)), ""),
        (Fidelity("approximated", "nearly"), ""),
        (Fidelity("not emulated", "no need"), ""),
        (Fidelity("perfect", "x"), "T-01: 'perfect' is none of emulated, approximated, not emulated"),
        (Fidelity("emulated", "I promise"), "T-01: emulated, but no test shows it"),
        (Fidelity("approximated", tests=(A_TEST,)), "T-01: approximated, but it is not said how or why"),
        (Fidelity("not emulated"), "T-01: not emulated, but it is not said how or why"),
        *(
            (Fidelity("emulated", tests=(test,)), f"T-01: there is no test {test}")
            for test in (
                "tests/unit/test_docs.py::test_that_was_renamed",
                "tests/unit/test_docs.py",
                "tests/unit/nowhere.py::test_x",
                "tests/engine_contract.py::test_stop_kills_after_the_grace",
                "tests/engine_contract.py::EngineContract",
            )
        ),
        (
            Fidelity("emulated", tests=("tests/engine_contract.py::EngineContract::test_stop_kills_after_the_grace",)),
            "",
        ),
    ],
)
def test_a_status_that_says_too_little(seen: Fidelity, problem: str) -> None:
    rules = {"T-01": RULES["T-01"]}
    assert list(contract_page.problems({"T-01": seen}, rules)) == ([problem] if problem else [])


def test_statuses_and_rules_are_the_same_ids() -> None:
    seen = Fidelity("not emulated", "no need")
    assert list(
        contract_page.problems({"T-01": seen, "T-99": seen}, {id_: RULES[id_] for id_ in ("T-01", "T-02")})
    ) == [
        "T-02: there is no status",
        "T-99: there is no such rule",
    ]


def test_statuses_are_read_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "fidelity.toml"
    file.write_text('[T-01]\nstatus = "emulated"\ntests = ["a::b"]\n[H-01]\nstatus = "not emulated"\nhow = "why"\n')
    assert contract_page.read(file) == {
        "T-01": Fidelity("emulated", tests=("a::b",)),
        "H-01": Fidelity("not emulated", "why"),
    }
    file.write_text('[T-01]\nstate = "emulated"\n')
    with pytest.raises(TypeError, match="state"):
        contract_page.read(file)


def test_a_row_of_the_contract() -> None:
    address = "https://docs.aws.amazon.com/sagemaker/latest/dg/a-page.html"
    rules = {"T-61": Rule("T-61", "MUST", "Read `a|b`.", f"{address}; SageMaker API: Channel", "for Pipe")}
    page = contract_page.page({"T-61": Fidelity("emulated", "over a FIFO", ("tests/a.py::b", "tests/a.py::c"))}, rules)
    assert (
        r"| T-61 | MUST for Pipe | Read `a\|b`. | emulated | over a FIFO<br>`tests/a.py::b`<br>`tests/a.py::c` | "
        f"[a-page]({address}); SageMaker API: Channel |\n"
    ) in page
    assert "## Training\n\n1 rules: 1 emulated, 0 approximated, 0 not emulated.\n" in page


def test_the_page_has_a_row_of_six_cells_for_every_rule() -> None:
    page = (REPOSITORY / "docs" / "contract.md").read_text(encoding="utf-8")
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if re.match(r"\| [THI]-", line)]
    assert [row[0].strip() for row in rows] == list(RULES)
    assert {len(row) for row in rows} == {6}
    # Markdown would hide what looks like a tag.
    assert not [row[0] for row in rows if re.search(r"<(?!br>)", re.sub(r"`[^`]*`", "", "".join(row)))]


# -- the rest ----------------------------------------------------------------------------------------------------------


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
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("templates/*/README.md")]:
        without_code = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", without_code):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
