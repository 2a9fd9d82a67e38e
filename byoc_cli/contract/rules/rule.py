"""What a rule is, and where it may come from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["MUST", "SHOULD", "NICE"]

IN_REAL_JOB = "files and log of a real job of two hosts, October 2020 (github.com/shiftan/simple_sagemaker)"
IN_LATER_JOBS = "public logs of real jobs, 2022 to 2025"
FIRST_HAND = "a user's public report of their own jobs"
NOT_DOCUMENTED = "general knowledge, not documented"


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise between SageMaker and a container.

    `level` MUST: a job or endpoint fails, or loses data, where it is broken; SHOULD: advice of the documents, or what
    breaks in common set-ups; NICE: exactness. `when` limits the level ("for Pipe"). `text` is Markdown.
    """

    id: str
    level: Level
    text: str
    source: str
    when: str = ""


def rule(id: str, level: Level, text: str, *sources: str, when: str = "") -> Rule:  # noqa: A002 - it is one
    """Make a rule that has one or more sources."""
    return Rule(id, level, text, "; ".join(sources), when)


def guide(page: str) -> str:
    """Return the address of a page of the SageMaker developer guide."""
    return f"https://docs.aws.amazon.com/sagemaker/latest/dg/{page}.html"


def guide_2023(*pages: str) -> str:
    """Name pages of the developer guide as it was in 2023, when its text was public."""
    return f"developer guide of 2023: {', '.join(pages)} (github.com/awsdocs/amazon-sagemaker-developer-guide)"


def api(*names: str) -> str:
    """Name shapes of the SageMaker API as botocore describes it."""
    return f"SageMaker API: {', '.join(names)}"


def code(repository: str, *files: str) -> str:
    """Name files of a public repository."""
    return f"github.com/{repository}: {', '.join(files)}" if files else f"github.com/{repository}"


def issue(repository: str, *numbers: int) -> str:
    """Name issues of a public repository."""
    return f"github.com/{repository} issue {', '.join(str(number) for number in numbers)}"
