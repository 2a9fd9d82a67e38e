"""What can be read of an image without starting it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.static.files import Files, ImageFiles
from byoc_cli.check.static.programs import Programs, Start
from byoc_cli.contract import hosting, paths
from byoc_cli.contract.image import architecture_for
from byoc_cli.engine import push
from byoc_cli.engine.types import Image, ImageConfig

TOOLKIT_VARIABLES = ("SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY")
TOOLKITS = ("sagemaker_training", "sagemaker_containers", "sagemaker_inference")
# Where people put `train` and `serve`, when not on PATH.
PLACES = ("/opt/program", f"{paths.ROOT}/code", "/app", "/usr/src/app", "/code", "/src", "/opt/app", "/workspace", "/")
_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
_DRIVER = (
    *(f"{folder}/{name}" for folder in _LIBRARIES for name in ("libcuda.so.1", "libnvidia-ml.so.1")),
    "/usr/bin/nvidia-smi",
    "/usr/local/nvidia/lib64/libcuda.so.1",
)


@dataclass(frozen=True)
class ImageFacts:
    """An image as it lies there. `architecture` is what the project's instance type runs.

    `hidden` has the files below each folder that SageMaker mounts over, and what else is in /opt/ml; `driver` are real
    files of NVIDIA's; `toolkit` is where one of SageMaker's toolkits lies, None where Python's folders are not known.
    `layers` are the largest (bytes, what made it), of a large image only.
    """

    image: Image
    architecture: str
    train: Start
    serve: Start
    bash: str
    python: str
    hidden: Mapping[str, Sequence[str]] = field(default_factory=dict)
    driver: Sequence[str] = ()
    toolkit: str | None = ""
    manifest: str = ""
    layers: Sequence[tuple[int, str]] = ()

    @property
    def starts(self) -> tuple[Start, Start]:
        """Both ways in which it is started."""
        return self.train, self.serve


def read(bench: Bench, _: Mapping[str, Any]) -> ImageFacts:
    """Read all of it from a container that is never started."""
    image = bench.order.image
    with bench.container("static", network="none") as container:
        files = ImageFiles(container, bench.check)
        facts = describe(files, image, architecture_for(bench.order.project.train.instance_type))
    return replace(facts, manifest=push.manifest_type(bench.engine, image.id), layers=_layers(bench, image))


def describe(files: Files, image: Image, architecture: str) -> ImageFacts:
    """Tell what an image's files and configuration come to."""
    config = image.config
    programs = Programs(files, config.environment, config.working_folder, config.entrypoint)
    train, serve = (programs.start(word, PLACES) for word in ("train", "serve"))
    python = programs.where("python3") or programs.where("python")
    return ImageFacts(
        image=image,
        architecture=architecture,
        train=train,
        serve=serve,
        bash=programs.where("/bin/bash"),
        python=python,
        hidden=_hidden(files, config, (train, serve)),
        driver=_driver(files),
        toolkit=_toolkit(files, config, (train, serve), python),
    )


def _hidden(files: Files, config: ImageConfig, starts: Sequence[Start]) -> dict[str, Sequence[str]]:
    """Files below /opt/ml, by folder; what is there to keep a folder in git is nothing."""
    if not files.is_there(paths.ROOT):
        return {}
    mounted = (paths.MODEL, paths.INPUT, paths.OUTPUT, paths.CHECKPOINTS)
    found: dict[str, Sequence[str]] = {folder: files.listing(folder) for folder in mounted}
    for name in files.listing(paths.ROOT):
        folder, slash, rest = name.partition("/")
        place = f"{paths.ROOT}/{folder}"
        if place in mounted or _is_code(place, config, starts):
            continue
        if slash:
            found[place] = [*found.get(place, ()), rest]
        elif not _is_code(paths.ROOT, config, starts):
            found[paths.ROOT] = [*found.get(paths.ROOT, ()), name]
    real = {folder: [name for name in names if not _keeps(name)] for folder, names in found.items()}
    return {folder: names for folder, names in real.items() if names}


def _keeps(name: str) -> bool:
    return posixpath.basename(name) in {".gitkeep", ".keep"}


def _is_code(place: str, config: ImageConfig, starts: Sequence[Start]) -> bool:
    """Whether a folder in /opt/ml is where the image's code is: /opt/ml/code, or what is started or named in it."""
    programs = [each.path for start in starts for each in (start.program, start.script, start.on_path) if each]
    named = [*programs, *config.entrypoint, *config.environment.values(), f"{config.working_folder}/"]
    if place == paths.ROOT:  # its own, and none that lies in it
        return any(posixpath.dirname(path) == place for path in programs) or place == config.working_folder.rstrip("/")
    return place == f"{paths.ROOT}/code" or any(re.search(rf"{re.escape(place)}(?:[/:]|$)", each) for each in named)


def _driver(files: Files) -> list[str]:
    """Files of an NVIDIA driver. Empty ones are what the container toolkit leaves in an image that was committed."""
    seen = {path: found for path in _DRIVER if (found := files.real(path))}
    real = {found[0]: path for path, found in seen.items() if found[1].size and not _is_stub(found[0])}
    return sorted(real.values())


def _is_stub(path: str) -> bool:
    return bool(re.search(r"/(?:stubs|compat)/", path))


def _toolkit(files: Files, config: ImageConfig, starts: Sequence[Start], python: str) -> str | None:
    """Where one of SageMaker's toolkits is; "" nowhere, or not asked for; None where it cannot be told."""
    programs = [each for start in starts for each in (start.program, start.script, start.on_path) if each]
    for program in programs:
        if any(name in program.text for name in TOOLKITS):
            return program.path
    if not any(name in config.environment for name in TOOLKIT_VARIABLES) and not any(
        "SM_" in program.text for program in programs
    ):
        return ""
    interpreters = [start.on_path.interpreter.path for start in starts if start.on_path.interpreter]
    pythons = {path for path in (*interpreters, python) if "python" in posixpath.basename(path)}
    folders = dict.fromkeys(folder for path in sorted(pythons) for folder in _packages(files, path))
    if pythons and not folders:
        return None
    found = (f"{folder}/{name}" for folder in folders for name in TOOLKITS)
    return next((path for path in found if files.is_there(path)), "")


def _packages(files: Files, python: str) -> list[str]:
    """The folders that a Python's packages may be in."""
    real = files.real(python)
    version = re.search(r"python(\d+\.\d+)", real[0]) if real else None
    if not real or not version:
        return []
    prefixes = {posixpath.dirname(posixpath.dirname(path)) for path in (python, real[0])}
    name = f"python{version[1]}"
    places = [f"{prefix}/lib/{name}/site-packages" for prefix in sorted(prefixes)]
    return [*places, f"/usr/local/lib/{name}/dist-packages", "/usr/lib/python3/dist-packages"]


def _layers(bench: Bench, image: Image) -> list[tuple[int, str]]:
    if not hosting.serverless_image_problems(image.size):
        return []
    made = [(size, by) for by, size in push.layers(bench.engine, image.id)]
    return sorted(made, reverse=True)[:3]
