"""What `byoc dev train` and `byoc dev serve` share: the image, and the source that is put over its copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import local_train
from byoc_cli.commands.options import Session

if TYPE_CHECKING:
    from byoc_cli.engine.types import Image
    from byoc_cli.local.dev.source import Source
    from byoc_cli.project import Project

DebugPortOption = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        min=1024,
        max=65535,
        help="Wait on that port of 127.0.0.1 for a debugger (debugpy), and print what VS Code needs to attach.",
        show_default=False,
    ),
]


def found(session: Session, project: Project, debug_port: int | None) -> tuple[str, Image, Source]:
    """Find the project's image, or build it, and the source that is put over it."""
    from byoc_cli.local.dev.debugger import Debugger
    from byoc_cli.local.dev.source import LARGE_BYTES, Source
    from byoc_cli.local.ports import check_port

    reference = session.reference("", project)
    if debug_port:
        check_port(session.engine, debug_port, "--debug-port")
    if session.engine.image(reference) is None and project.dockerfile.is_file():
        session.console.log(f"there is no image {reference} yet: it is built first")
        local_train.build_image(session, project)
    reference, image = session.image("", project)
    debugger = Debugger(debug_port) if debug_port else None
    source = Source(session.engine, project, image, debugger)
    session.console.log(f"source: {source.words()}")
    if new := source.not_built():
        session.console.warn(f"newer than the image, and used by its build: {', '.join(new)}", "byoc build")
    if source.size > LARGE_BYTES:
        session.console.warn(
            f"{source.size / 1e6:,.0f} MB are put into each container: that takes its time",
            "list what is no source in .dockerignore, or mount it: [dev] mounts in byoc.toml",
        )
    if debugger:
        session.console.log(f"for VS Code, .vscode/launch.json:\n{debugger.launch(project.root, source.folders())}")
    return reference, image, source
