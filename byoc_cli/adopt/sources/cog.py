"""A cog project: `cog.yaml`. Cog makes the Dockerfile itself, and its server speaks another protocol."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from byoc_cli import image_ref
from byoc_cli.adopt import reading
from byoc_cli.adopt.proposal import Aside, Found, Missing, Proposal
from byoc_cli.adopt.reading import Document, Folder
from byoc_cli.adopt.source_rules import missing
from byoc_cli.adopt.sources import plain
from byoc_cli.adopt.sources.source import Source
from byoc_cli.check.model import failed
from byoc_cli.contract import hosting, paths

_FILE = "cog.yaml"
_MINIMAL = "`byoc init --template minimal` has one to look at"


def recognise(folder: Path) -> Path | None:
    """Its configuration."""
    return folder / _FILE if (folder / _FILE).is_file() else None


def read(folder: Path, chosen: Path | None) -> Proposal:
    """Propose what cog.yaml tells; its image needs two programs more, which `missing` tells.

    Raises:
        ByocError: cog.yaml cannot be read.

    """
    named, settings = Folder(folder), reading.yaml_object(folder / _FILE)
    dockerfile = chosen or (folder / "Dockerfile" if (folder / "Dockerfile").is_file() else None)
    if dockerfile:
        proposal = plain.of_dockerfile(folder, dockerfile, "a cog project with a Dockerfile")
    else:
        proposal = Proposal("a cog project", folder, _image(named, settings))
    environment = _environment(named, settings)
    return replace(
        proposal,
        hyperparameters=_hyperparameters(named, folder, settings),
        train_environment=environment if settings.text("train") else {},
        serve_environment=environment,
        content_type=Found("application/json", "what cog's server takes"),
        asides=[*proposal.asides, *_gpu(named, settings)],
        missing=[*proposal.missing, *([] if dockerfile else _lacking(named, settings, proposal.image.value))],
    )


def _image(named: Folder, settings: Document) -> Found:
    if name := plain.local_name(settings.text("image")):
        return Found(name, named.name(settings.file, settings.line("image")))
    return Found(image_ref.slug(named.path.resolve().name), "the folder's name")


def _environment(named: Folder, settings: Document) -> dict[str, Found]:
    given = settings.data.get("environment")
    where = named.name(settings.file, settings.line("environment"))
    pairs = (each.partition("=") for each in given if isinstance(each, str)) if isinstance(given, list) else ()
    return {name: Found(value, where) for name, equals, value in pairs if equals and name}


def _gpu(named: Folder, settings: Document) -> list[Aside]:
    if settings.table("build").get("gpu") is not True:
        return []
    where = named.name(settings.file, settings.line("build", "gpu"))
    return [Aside("train", 'instance-type = "ml.g5.xlarge"', f"{where} asks for a GPU")]


def _target(settings: Document, *keys: str) -> tuple[str, int]:
    """("train.py:train", its line) of the first key that is there; ("", 0) without one."""
    for key in keys:
        if isinstance(value := settings.data.get(key), str):
            return value, settings.line(key)
    return "", 0


def _hyperparameters(named: Folder, folder: Path, settings: Document) -> dict[str, Found]:
    """Give the parameters of the function that trains, with the defaults that stand written."""
    file, _, name = _target(settings, "train")[0].partition(":")
    content = reading.text_or_none(folder / file) if file else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an escape that is none
            tree = ast.parse(content or "")
    except (SyntaxError, ValueError, RecursionError):
        return {}
    function = next((each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name), None)
    if function is None:
        return {}
    given = function.args.args[len(function.args.args) - len(function.args.defaults) :]
    pairs = [*zip(given, function.args.defaults, strict=True)]
    pairs += [
        (each, value) for each, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if value
    ]
    found = {}
    for argument, default in pairs:
        value = reading.scalar(_constant(default))
        if value is not None:
            found[argument.arg] = Found(value, named.name(folder / file, argument.lineno))
    return found


def _constant(node: ast.expr) -> object:
    """The constant of `= 3`, `= -3` and `= Input(default=3)`."""
    if isinstance(node, ast.Call):
        defaults = [each.value for each in node.keywords if each.arg == "default"]
        return _constant(defaults[0]) if defaults else None
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _lacking(named: Folder, settings: Document, image: str) -> Iterator[Missing]:
    """What its image lacks: cog's server speaks another protocol, and a training is a call of its command line."""
    train, train_line = _target(settings, "train")
    predictor, predict_line = _target(settings, "predict", "run")
    where = named.name(settings.file, predict_line)
    base = re.split(r"[:@]", image)[0] + "-cog"
    recipe = (
        f"cog build -t {base}\nDockerfile:\n  FROM {base}\n"
        f"  COPY {'train serve' if train else 'serve'} /usr/local/bin/\n  ENTRYPOINT []"
    )
    yield Missing("there is no Dockerfile: cog makes one for itself", recipe, named.name(settings.file), blocks=True)
    if train:
        seen = f"cog calls {train} itself, with typed values: its image has no program of that name"
        fix = (
            f"write `train`: it reads {paths.CONFIG}/{paths.HYPERPARAMETERS_FILE}, converts the values, calls {train}, "
            f"and moves what that gives to {paths.MODEL}; {_MINIMAL}"
        )
        yield missing("T-01", failed(seen, fix), named.name(settings.file, train_line))
    fix = (
        f"write `serve`: a server on 0.0.0.0:{hosting.PORT} that calls {predictor or 'the predictor'}, whose setup() "
        f"loads from {paths.MODEL}; {_MINIMAL}"
    )
    for id_, seen, remedy in (
        ("H-01", f"cog's server is started by CMD, which the word `{hosting.COMMAND}` replaces", fix),
        ("H-12", "cog's server listens on port 5000", f"let `serve` listen on 0.0.0.0:{hosting.PORT}"),
        ("H-10", "cog's server answers GET /health-check", "let `serve` answer GET /ping with 200"),
        ("H-15", "cog's server answers POST /predictions", "let `serve` answer POST /invocations"),
    ):
        yield missing(id_, failed(seen, remedy), where)


SOURCE = Source("cog", "a cog project", recognise, read)
