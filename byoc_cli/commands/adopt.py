"""`byoc adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byoc_cli.commands.options import Outcome, Session, choice

if TYPE_CHECKING:
    from byoc_cli.adopt import Adoption, Missing
    from byoc_cli.console import Console

EXAMPLES = """
  byoc adopt
  byoc adopt ./my-container --dry-run
  byoc adopt --yes
  byoc adopt --dockerfile docker/Dockerfile.gpu
"""


def adopt(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.", show_default=False)] = Path(),
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="SOURCE", help="What to take the folder for, where it is several.", show_default=False
        ),
    ] = "",
    dockerfile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The Dockerfile to take, where there are several.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Write nothing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a byoc.toml that is there.")] = False,
) -> Outcome:
    """Make a byoc.toml for a container that is there already, and tell what SageMaker's contract still misses.

    It reads a Dockerfile; the local_test/ of AWS's samples; a sagify, cog or MLflow project; a model saved by MLflow.
    --from is dockerfile, aws-sample, sagify, cog, mlflow-project or mlflow-model. byoc.toml is printed, with a comment
    on each value that says where it was found, and written beside the Dockerfile when you say so; no other file is
    changed. Without a terminal and without --yes it is printed only.

    What is missing is told by the ids of `byoc check`, with the lines to add; paths are relative to DIR. It is read
    from the files alone: what is not plain is not said, and `byoc check` tries the image itself.

    With --json: file (where byoc.toml goes), written, source, toml (its text), notes, missing: a list of id ("" for
    what is no rule of SageMaker's), level, result (fail, warn), sentence, where (file:line), seen, fix.
    """
    from byoc_cli import adopt as recipe
    from byoc_cli.adopt.sources import SOURCES
    from byoc_cli.console import adopt_view

    word = choice(source, "--from", [each.name for each in SOURCES]) if source else ""
    found = recipe.adopt(folder, source=word, dockerfile=dockerfile)
    there = recipe.existing(found)
    asked = not dry_run and (yes or session.console.interactive)
    if asked and not overwrite:
        recipe.refuse_existing(found)
    adopt_view.show(session.console, found)
    written = asked and (yes or _confirmed(session.console, found))
    if written:
        if there and there != found.file:
            session.console.warn(f"the [tool.byoc] of {there} is not read any longer", "remove it")
        recipe.write(found)
    adopt_view.end(session.console, found, there, written=written, asked=asked)
    return Outcome(_data(found, written=written))


def _confirmed(console: Console, found: Adoption) -> bool:
    return console.confirm(f"write {found.file}?", about=(), otherwise="--yes")


def _data(found: Adoption, *, written: bool) -> dict[str, Any]:
    return {
        "file": str(found.file),
        "written": written,
        "source": found.taken.name,
        "toml": found.text,
        "notes": list(found.proposal.notes),
        "missing": [_row(each) for each in found.missing],
    }


def _row(missing: Missing) -> dict[str, str]:
    finding = missing.finding
    return {
        "id": missing.id,
        "level": finding.rule.level if finding else "",
        "result": missing.result,
        "sentence": finding.rule.sentence if finding else "",
        "where": missing.where,
        "seen": missing.seen,
        "fix": missing.fix,
    }
