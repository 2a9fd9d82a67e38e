"""A cog project: `cog.yaml`. Cog makes the Dockerfile itself, and its server speaks another protocol."""

from __future__ import annotations

import ast
import re
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


def _target(settings: Document, *keys: str) -> tuple[str, str, int]:
    """(file, object, line) of `train: "train.py:train"`; empty where there is none."""
    for key in keys:
        if value := settings.text(key) if isinstance(settings.data.get(key), str) else "":
            file, _, name = value.partition(":")
            return file, name, settings.line(key)
    return "", "", 0


def _hyperparameters(named: Folder, folder: Path, settings: Document) -> dict[str, Found]:
    """Give the parameters of the function that trains, with the defaults that stand written."""
    file, name, _ = _target(settings, "train")
    content = reading.text_or_none(folder / file) if file else None
    try:
        tree = ast.parse(content or "")
    except (SyntaxError, ValueError, RecursionError):
        return {}
    function = next((each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name), None)
    if function is None:
        return {}
    given = function.args.args[len(function.args.args) - len(function.args.defaults) :]
    pairs = [*zip(given, function.args.defaults, strict=True)]
    pairs += [(each, value) for each, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if value]
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


def _lacking(named: Folder, settings: Document, image: str) -> list[Missing]:
    name = re.split(r"[:@]", image)[0]
    copies, found = [], []
    file, function, line = _target(settings, "train")
    if file:
        copies.append("train")
        seen = f"cog calls {function or 'train'}() of {file} itself, with typed values: no program of that name is in its image"
        fix = (
            f"write `train`: it reads {paths.CONFIG}/{paths.HYPERPARAMETERS_FILE}, converts each value, calls "
            f"{function or 'train'}(), and moves what it gives to {paths.MODEL}; {_MINIMAL}"
        )
        found.append(missing("T-01", failed(seen, fix), named.name(settings.file, line)))
    server, predictor, line = _target(settings, "predict", "run")
    copies.append("serve")
    seen = f"cog's server is started by CMD, which SageMaker replaces with the word `{hosting.COMMAND}`"
    fix = (
        f"write `serve`: a server on 0.0.0.0:{hosting.PORT} that calls {predictor or 'the predictor'} of "
        f"{server or 'predict.py'}, whose setup() loads from {paths.MODEL}; {_MINIMAL}"
    )
    where = named.name(settings.file, line)
    found.append(missing("H-01", failed(seen, fix), where))
    seen = "cog's server listens on port 5000"
    found.append(missing("H-12", failed(seen, f"let `serve` listen on 0.0.0.0:{hosting.PORT}"), where))
    seen = "cog's server answers GET /health-check"
    found.append(missing("H-10", failed(seen, "let `serve` answer GET /ping with 200"), where))
    seen = 'cog\'s server answers POST /predictions with {"input": {...}}'
    found.append(missing("H-15", failed(seen, "let `serve` answer POST /invocations"), where))
    recipe = f"cog build -t {name}-cog\nDockerfile:\n  FROM {name}-cog\n  COPY {' '.join(copies)} /usr/local/bin/\n  ENTRYPOINT []"
    first = Missing("there is no Dockerfile: cog makes one for itself", recipe, named.name(settings.file))
    return [first, *found]


SOURCE = Source("cog", "a cog project", recognise, read)
