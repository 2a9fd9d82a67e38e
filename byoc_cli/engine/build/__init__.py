"""Build an image, so that SageMaker takes its manifest, with the builder that is there (design decision 1)."""

from __future__ import annotations

from byoc_cli.engine import builders
from byoc_cli.engine.build.classic import build_with_api
from byoc_cli.engine.build.cli import build_with_cli
from byoc_cli.engine.build.request import BuildFailed, BuildRequest
from byoc_cli.engine.build.steps import Steps
from byoc_cli.engine.build_progress import BuildWatcher
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.types import Image

__all__ = ["BuildFailed", "BuildRequest", "build"]


def build(engine: DockerEngine, builder: builders.Builder, request: BuildRequest, watcher: BuildWatcher) -> Image:
    """Build, and give the image that came of it.

    Raises:
        BuildFailed: a step failed, or the Dockerfile is wrong.

    """
    request.log.parent.mkdir(parents=True, exist_ok=True)
    with request.log.open("w", encoding="utf-8") as log:
        steps = Steps(watcher, log)
        if builder.kind == "classic":
            build_with_api(engine, request, steps)
        else:
            build_with_cli(builder, request, steps)
    engine.touch(request.tag)
    image = engine.image(request.tag)
    if image is None:
        raise BuildFailed(f"the build ended well, but there is no image '{request.tag}'\nfull output: {request.log}")
    return image
