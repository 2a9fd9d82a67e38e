"""Where many models are unpacked: a folder of the project's, which the container has at /opt/ml/models (H-35).

The local endpoint fills it as models are asked for, and removes it when the container has ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from byoc_cli.contract import paths
from byoc_cli.engine.types import Container, Mount
from byoc_cli.errors import ByocError
from byoc_cli.local import claims, runs
from byoc_cli.local.hosting.request import EndpointRequest
from byoc_cli.local.mounts import check_mount
from byoc_cli.project import Project


def place_of(project: Project, name: str) -> Path:
    """Return an endpoint's folder."""
    return project.home / "endpoints" / name


@contextmanager
def folder(project: Project, request: EndpointRequest) -> Iterator[None]:
    """Make it where there are many models; a detached endpoint that has started removes it itself."""
    if request.models is None:
        yield
        return
    runs.prepare_home(project)
    place = place_of(project, request.name)
    kept = False
    try:
        with ExitStack() as held:
            try:
                held.enter_context(claims.claim(place))
                (place / "models").mkdir()
            except OSError as error:
                raise ByocError(
                    f"{place} cannot be written\n{error.strerror}", hint="models are unpacked there: make it writable"
                ) from error
            yield
            kept = request.detached
    finally:
        if not kept:
            remove(place)


def mount(project: Project, request: EndpointRequest) -> Mount:
    """What the container has of it: read-only, as the model of one (H-04)."""
    return Mount(paths.MODELS, str(place_of(project, request.name) / "models"), read_only=True)


def check(container: Container, mounted: Mount) -> None:
    """See that the engine mounts this machine's files, before the start.

    Raises:
        MachineError: it does not.

    """
    probe = Path(mounted.source) / ".byoc"  # an empty folder would prove nothing
    probe.touch()
    try:
        check_mount(container, mounted, paths.MODELS)
    finally:
        probe.unlink()


def remove(place: Path) -> None:
    """Remove it; it may be gone already."""
    shutil.rmtree(place, ignore_errors=True)


def left(project: Project, alive: set[str]) -> list[Path]:
    """Find what a killed byoc left of endpoints that do not live."""
    homes = project.home / "endpoints"
    found = [place for place in homes.iterdir() if place.is_dir()] if homes.is_dir() else []
    return [place for place in sorted(found) if place.name not in alive and not claims.claimed(place)]
