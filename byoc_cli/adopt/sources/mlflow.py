"""MLflow: a project (`MLproject`), and a saved model (`MLmodel`)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from byoc_cli import image_ref
from byoc_cli.adopt import reading
from byoc_cli.adopt.proposal import Aside, Found, Missing, Proposal
from byoc_cli.adopt.reading import Document, Folder
from byoc_cli.adopt.source_rules import missing
from byoc_cli.adopt.sources import plain
from byoc_cli.adopt.sources.source import Source
from byoc_cli.check.model import failed
from byoc_cli.contract import paths
from byoc_cli.errors import some

_PROJECT = "mlproject"
_MODEL = "MLmodel"
_EXAMPLES = ("serving_input_example.json", "input_example.json")
_REQUESTS = {"dataframe_split", "dataframe_records", "instances", "inputs"}  # what its server takes


# -- a project --------------------------------------------------------------------------------------------------------


def recognise_project(folder: Path) -> Path | None:
    """The file MLproject, whatever its capitals are, as for MLflow."""
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == _PROJECT and path.is_file()), None)


def read_project(folder: Path, chosen: Path | None) -> Proposal:
    """Propose what the entry point `main` tells, or the only one.

    Raises:
        ByocError: MLproject cannot be read.

    """
    named, settings = Folder(folder), reading.yaml_object(recognise_project(folder) or folder / "MLproject")
    dockerfile = chosen or plain.recognise(folder)
    if dockerfile:
        proposal = plain.of_dockerfile(folder, dockerfile, "an MLflow project")
    else:
        proposal = Proposal(
            "an MLflow project", folder, Found(image_ref.slug(folder.resolve().name), "the folder's name")
        )
    entry, notes = _entry_point(named, settings)
    hyperparameters, channels, asides = _parameters(named, folder, proposal.root, settings, entry)
    return replace(
        proposal,
        image=_image(named, settings, built=dockerfile is not None) or proposal.image,
        hyperparameters=hyperparameters,
        channels=channels,
        train_environment=_environment(named, settings),
        asides=[*proposal.asides, *asides],
        notes=[*proposal.notes, *notes],
        missing=[*proposal.missing, *([] if dockerfile else _lacking(named, settings, entry))],
    )


def _image(named: Folder, settings: Document, *, built: bool) -> Found | None:
    """Name the image as docker_env does where the Dockerfile makes that; else it is a base."""
    given = settings.table("docker_env").get("image") if built else None
    if isinstance(given, str) and (name := plain.local_name(given)):
        return Found(name, named.name(settings.file, settings.line("docker_env", "image")))
    given = settings.data.get("name")
    if isinstance(given, str) and given:
        return Found(image_ref.slug(given), named.name(settings.file, settings.line("name")))
    return None


def _environment(named: Folder, settings: Document) -> dict[str, Found]:
    """Give the pairs of docker_env; a name alone is copied from the caller's environment, which is not a project's."""
    where = named.name(settings.file, settings.line("docker_env", "environment"))
    given = settings.table("docker_env").get("environment") or []
    pairs = [each for each in given if isinstance(each, list) and len(each) == 2] if isinstance(given, list) else []
    return {str(name): Found(str(value), where) for name, value in pairs}


def _entry_point(named: Folder, settings: Document) -> tuple[str, list[str]]:
    entries = settings.table("entry_points")
    if not entries:
        return "", []
    name = "main" if "main" in entries else next(iter(entries))
    others = [each for each in entries if each != name]
    where = named.name(settings.file, settings.line("entry_points"))
    return name, [f"{where}: the entry point '{name}' was taken, not {some(others)}"] if others else []


def _parameters(
    named: Folder, folder: Path, root: Path, settings: Document, entry: str
) -> tuple[dict[str, Found], dict[str, Found], list[Aside]]:
    """Parameters are hyperparameters; a `path` is data, which comes in a channel."""
    hyperparameters, channels, asides = {}, {}, []
    given = settings.table("entry_points", entry, "parameters") if entry else {}
    for name, value in given.items():
        where = named.name(settings.file, settings.line("entry_points", entry, "parameters", name))
        kind, default = (value.get("type"), value.get("default")) if isinstance(value, dict) else (value, None)
        text = reading.scalar(default)
        if kind in {"path", "uri"}:
            place = folder / text if text else folder
            if text and "://" not in text and place.exists():
                channels[name] = Found(reading.relative(place, root), where)
            else:
                source = text if text and text.startswith("s3://") else "…"
                asides.append(Aside("train.channels", f'{name} = "{source}"', f"{where}: a {kind}"))
        elif text is None:
            asides.append(Aside("train.hyperparameters", f'{name} = "…"', f"{where}: it has no default"))
        else:
            hyperparameters[name] = Found(text, where)
    return hyperparameters, channels, asides


def _lacking(named: Folder, settings: Document, entry: str) -> Iterator[Missing]:
    key = next((each for each in ("docker_env", "conda_env", "python_env") if each in settings.data), "")
    where = named.name(settings.file, settings.line(key) if key else 0)
    recipe = [
        "Dockerfile:",
        *(f"  {line}" for line in _environment_lines(named.path, settings)),
        "  COPY . /opt/program",
        "  ENV PATH=/opt/program:$PATH",
        "  WORKDIR /opt/program",
    ]
    yield Missing("there is no Dockerfile: mlflow makes the environment itself", "\n".join(recipe), where, blocks=True)
    command = settings.table("entry_points", entry).get("command") if entry else None
    seen = (
        f"`{command}` is started by mlflow, which puts the parameters in" if command else "no entry point has a command"
    )
    fix = (
        f"write `train`: it reads {paths.CONFIG}/{paths.HYPERPARAMETERS_FILE} and starts `{command or 'your program'}` "
        f"with its values\ndata is in {paths.DATA}/<channel>, and the model goes to {paths.MODEL}"
    )
    line = settings.line("entry_points", entry, "command") if entry else 0
    yield missing("T-01", failed(seen, fix), named.name(settings.file, line))
    fix = (
        "write `serve`; or let `train` save with mlflow.….save_model, and serve what it leaves with the image of "
        "`mlflow models build-docker`"
    )
    yield missing("H-01", failed("an MLproject has no server", fix), named.name(settings.file))


def _environment_lines(folder: Path, settings: Document) -> list[str]:
    """Say in a Dockerfile's words what MLproject says of the environment."""
    if image := settings.table("docker_env").get("image"):
        return [f"FROM {image}"]
    if conda := settings.data.get("conda_env"):
        return ["FROM condaforge/miniforge3", f"COPY {conda} .", f"RUN conda env update -n base -f {conda}"]
    file = folder / str(settings.data.get("python_env") or "python_env.yaml")
    wanted = reading.yaml_object(file).data if file.is_file() else {}
    version = re.match(r"3\.\d+", str(wanted.get("python") or ""))
    packages = [each for each in wanted.get("dependencies") or () if isinstance(each, str)]
    lines = [f"FROM python:{version[0] if version else '3.11'}-slim-bookworm"]
    lines += [f"COPY {package[3:].strip()} ." for package in packages if package.startswith("-r ")]
    return [*lines, f"RUN pip install {' '.join(map(_word, packages))}"] if packages else lines


def _word(package: str) -> str:
    return package if re.fullmatch(r"[\w.=\[\]-]+|-r\s+[\w./-]+", package) else shlex.quote(package)


# -- a saved model ----------------------------------------------------------------------------------------------------


def recognise_model(folder: Path) -> Path | None:
    """The file MLmodel."""
    return folder / _MODEL if (folder / _MODEL).is_file() else None


def read_model(folder: Path, chosen: Path | None) -> Proposal:
    """Propose the image that `mlflow models build-docker` makes, which serves.

    Raises:
        ByocError: MLmodel cannot be read.

    """
    named, settings = Folder(folder), reading.yaml_object(folder / _MODEL)
    flavors = settings.table("flavors")
    sample = _example(folder, settings)
    proposal = Proposal(
        "a model saved by MLflow",
        folder,
        Found(image_ref.slug(folder.resolve().name), "the folder's name"),
        sample=sample,
        content_type=Found("application/json", "what MLflow's server takes"),
    )
    if chosen:
        return replace(proposal, dockerfile=Found(chosen.relative_to(folder).as_posix(), named.name(chosen)))
    where = named.name(settings.file, settings.line("flavors"))
    name = proposal.image.value
    image = f"mlflow models build-docker -m {named.name(folder)} -n {name}"
    lacking = [
        Missing("there is no Dockerfile: mlflow makes the image of a model", image, where, blocks=True),
        missing(
            "T-01",
            failed("MLflow's image serves, and does not train", f"{image}\nbyoc check {name} --only serve"),
            where,
        ),
        missing(
            "I-08",
            failed(
                f"that image has the model in {paths.MODEL}, where SageMaker mounts its own",
                f"byoc serve {name} --model {named.name(folder)}\nfor SageMaker: tar -czf ../model.tar.gz .",
            ),
            where,
        ),
    ]
    if "python_function" not in flavors:
        lacking.append(
            Missing(
                "it has no flavor python_function, which MLflow's server needs",
                "save it as a pyfunc",
                where,
                blocks=True,
            )
        )
    return replace(proposal, missing=lacking)


def _example(folder: Path, settings: Document) -> Found | None:
    """A file that is a request as it stands: the first of those that are named so, and have the server's keys."""
    info: Any = settings.table("saved_input_example_info") if settings.data.get("saved_input_example_info") else {}
    for name in dict.fromkeys((*_EXAMPLES, str(info.get("artifact_path", "")))):
        content = reading.text_or_none(folder / name) if name else None
        try:
            data = json.loads(content or "null")
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict) and _REQUESTS & set(data):
            return Found(name, Folder(folder).name(folder / name))
    return None


PROJECT = Source("mlflow-project", "an MLflow project", recognise_project, read_project)
MODEL = Source("mlflow-model", "a model saved by MLflow", recognise_model, read_model)
