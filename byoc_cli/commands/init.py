"""`byoc init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands.options import Outcome, Session
from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoc_cli.templates import Template

_NEXT = 3

EXAMPLES = """
  byoc init my-model --template minimal
  byoc init --list
  cd my-model && byoc init
"""


def _names(incomplete: str) -> list[str]:
    from byoc_cli import templates

    return [each.name for each in templates.available() if each.name.startswith(incomplete)]


def init(
    session: Session,
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Where to; the current folder without it.", show_default=False)
    ] = ".",
    template: Annotated[
        str,
        typer.Option(
            "--template",
            "-t",
            metavar="NAME",
            help="Which template; asked for on a terminal without it.",
            show_default=False,
            autocompletion=_names,
        ),
    ] = "",
    list_them: Annotated[bool, typer.Option("--list", help="List the templates, and copy nothing.")] = False,
) -> Outcome:
    """Start a project from a template: a Dockerfile, train, serve, some real data, a request, a workflow for CI.

    Each is whole: it can be built, trained, served and asked as it is. What is in DIR already is never overwritten:
    when a file is in the way, nothing is copied.

    With --json: template, folder, files, and next: the commands to type.
    With --list and --json: a list of objects with name and about.
    """
    from byoc_cli import templates

    known = templates.available()
    if list_them:
        data = [{"name": each.name, "about": each.about} for each in known]
        rows = [(each.name, each.about) for each in known]
        return Outcome(data, lambda console: console.rows(("template", "what it is"), rows, fold=True))
    chosen = templates.find(template, known) if template else _ask(session, known, folder)
    target = Path(folder)
    folder = folder or "."  # of an empty variable
    made = templates.copy(chosen, target, session.console.detail)
    session.console.log(f"{len(made)} files from the template {chosen.name}; its README.md says what each is. Next:\n")
    to_do = [
        *(
            []
            if target.resolve() == Path.cwd()
            else [f"cd {shlex.quote(folder if folder[0] != '-' else f'./{folder}')}"]
        ),
        *chosen.commands[:_NEXT],
    ]
    for line in to_do:
        session.console.log(f"  {line}")
    session.console.log("")
    data_of_copy = {"template": chosen.name, "folder": folder, "files": [str(path) for path in made], "next": to_do}
    return Outcome(data_of_copy, lambda console: console.result(folder))


def _ask(session: Session, known: Sequence[Template], folder: str) -> Template:
    """Let somebody at a terminal choose; elsewhere it has to be said."""
    names = [each.name for each in known]
    if not session.console.interactive:
        meant = folder if folder in names else names[0]
        raise UsageError(
            f"which template? there are {', '.join(names)}", hint=f"byoc init {shlex.quote(folder)} --template {meant}"
        )
    chosen = session.console.choose("which template?", [(each.name, each.about) for each in known])
    return known[names.index(chosen)]
