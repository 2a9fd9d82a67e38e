"""A sagify project: `.sagify.json`, and the module `sagify_base` (once `sagify`) with its Dockerfile and build.sh."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from pathlib import Path

from byoc_cli import image_ref
from byoc_cli.adopt import reading
from byoc_cli.adopt.proposal import Found, Proposal
from byoc_cli.adopt.reading import Document, Folder
from byoc_cli.adopt.sources import aws_sample, plain
from byoc_cli.adopt.sources.source import Source
from byoc_cli.engine import dockerfile

_FILE = ".sagify.json"
_MODULES = ("sagify_base", "sagify")
_ANSWERS = re.compile(r"[\"'](application/json|text/csv)[\"']")


def recognise(folder: Path) -> Path | None:
    """Its configuration."""
    return folder / _FILE if (folder / _FILE).is_file() else None


def read(folder: Path, chosen: Path | None) -> Proposal:
    """Propose what `sagify build` would do.

    Raises:
        ByocError: .sagify.json cannot be read, or there is no Dockerfile where it says.

    """
    named, settings = Folder(folder), reading.json_object(folder / _FILE)
    module = _module(folder, settings)
    file = chosen or module / "Dockerfile"
    proposal = replace(plain.of_dockerfile(folder, file, "a sagify project"), root=folder)
    proposal = replace(
        proposal,
        image=_image(named, settings, proposal),
        dockerfile=Found(named.name(file), named.name(file)),
        args=_arguments(named, settings, file),
        content_type=_content_type(named, module),
        # What its ARGs are given is known here.
        asides=[each for each in proposal.asides if each.section != "build.args"],
        missing=[],
    )
    return aws_sample.with_test(proposal, folder, module / "local_test")


def _module(folder: Path, settings: Document) -> Path:
    source = settings.text("sagify_module_dir") or "src"
    found = [folder / source / name for name in _MODULES if (folder / source / name / "Dockerfile").is_file()]
    if not found:
        why = f"sagify_module_dir is {source}, and there is no {source}/{_MODULES[0]}/Dockerfile"
        raise settings.wrong(why, settings.line("sagify_module_dir"))
    return found[0]


def _image(named: Folder, settings: Document, proposal: Proposal) -> Found:
    name = settings.text("image_name")
    if not name:
        return proposal.image
    return Found(plain.local_name(name) or image_ref.slug(name), named.name(settings.file, settings.line("image_name")))


def _arguments(named: Folder, settings: Document, file: Path) -> dict[str, Found]:
    """Give the build arguments that build.sh hands over, as far as the Dockerfile declares them."""
    source = settings.text("sagify_module_dir") or "src"
    module = named.name(settings.file, settings.line("sagify_module_dir"))
    given = {
        "module_path": Found(posixpath.normpath(source), module),
        "target_dir_name": Found(posixpath.basename(posixpath.normpath(source)), module),
    }
    for argument, key in (("requirements_file_path", "requirements_dir"), ("python_version", "python_version")):
        if value := settings.text(key):
            given[argument] = Found(value, named.name(settings.file, settings.line(key)))
    parsed = dockerfile.parse(reading.text(file))
    lines = [*parsed.head, *(line for stage in parsed.stages for line in stage.instructions)]
    declared = {name for line in lines if line.word == "ARG" for name in dockerfile.pairs(line.rest)}
    return {name: found for name, found in given.items() if name in declared}


def _content_type(named: Folder, module: Path) -> Found | None:
    for file in (module / "prediction" / "predictor.py", module / "prediction" / "wsgi.py"):
        if found := reading.first(_ANSWERS, reading.text_or_none(file) or ""):
            return Found(found[0], named.name(file, found[1]))
    return None


SOURCE = Source("sagify", "a sagify project", recognise, read)
