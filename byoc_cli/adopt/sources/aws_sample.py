"""The layout of AWS's samples: a Dockerfile, and `local_test/` with an /opt/ml to try it on and scripts that do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from byoc_cli import payload
from byoc_cli.adopt import reading
from byoc_cli.adopt.proposal import Found, Proposal
from byoc_cli.adopt.reading import Folder
from byoc_cli.adopt.sources import plain
from byoc_cli.adopt.sources.source import Source
from byoc_cli.contract import paths
from byoc_cli.contract.training import channel_problems

_TEST = "local_test"
_OPT_ML = "test_dir"
_TYPE = re.compile(
    r"\$\{\w+:-[\"']?([\w.+-]+/[\w.+-]+)[\"']?\}|Content-Type:\s*([\w.+-]+/[\w.+-]+)|^\s*content\w*=[\"']?([\w.+-]+/[\w.+-]+)",
    re.MULTILINE | re.IGNORECASE,
)
_VARIABLE = re.compile(r"(?:^|\s)(?:-e|--env)[\s=]+[\"']?([A-Za-z_]\w*)=([^\s$\"']+)[\"']?(?=\s|$)")
_SAMPLES = ("payload.*", "payload", "input.*", "sample.*", "test_payload.*", "*payload*")


def recognise(folder: Path) -> Path | None:
    """A Dockerfile with local_test/ beside it, or above it."""
    if not plain.recognise(folder):
        return None
    return next((place / _TEST for place in (folder, folder / "container") if _is_test(place / _TEST)), None)


def _is_test(folder: Path) -> bool:
    return (folder / _OPT_ML).is_dir() or (folder / "train_local.sh").is_file() or (folder / "serve_local.sh").is_file()


def read(folder: Path, chosen: Path | None) -> Proposal:
    """Propose what the Dockerfile and local_test/ tell.

    Raises:
        ByocError: hyperparameters.json or the Dockerfile cannot be read.

    """
    test = recognise(folder) or folder / _TEST
    return with_test(replace(plain.read(folder, chosen), source="an AWS sample"), folder, test)


def with_test(proposal: Proposal, folder: Path, test: Path) -> Proposal:
    """Add what a local_test/ tells.

    Raises:
        ByocError: hyperparameters.json cannot be read.

    """
    named, ml = Folder(folder), test / _OPT_ML
    hyperparameters, notes = _hyperparameters(named, ml / _below(paths.CONFIG) / paths.HYPERPARAMETERS_FILE)
    sample = _sample(test)
    return replace(
        proposal,
        hyperparameters={**proposal.hyperparameters, **hyperparameters},
        channels={**proposal.channels, **_channels(named, proposal.root, ml / _below(paths.DATA))},
        train_environment=_variables(named, test, ("train_local.sh",)),
        serve_environment=_variables(named, test, ("serve_local.sh", "deploy_local.sh")),
        sample=Found(reading.relative(sample, proposal.root), named.name(sample)) if sample else proposal.sample,
        content_type=_content_type(named, test, sample) or proposal.content_type,
        notes=[*proposal.notes, *notes],
    )


def _below(path: str) -> str:
    return path.removeprefix(f"{paths.ROOT}/")


def _hyperparameters(named: Folder, file: Path) -> tuple[dict[str, Found], list[str]]:
    if not file.is_file():
        return {}, []
    document = reading.json_object(file)
    found, notes = {}, []
    for name, value in document.data.items():
        where = named.name(file, document.line(name))
        text = reading.scalar(value)
        if text is None:
            notes.append(f"{where}: hyperparameter '{name}' is no text and was left out: SageMaker's are (T-12)")
        else:
            found[name] = Found(text, where)
    return found, notes


def _channels(named: Folder, root: Path, data: Path) -> dict[str, Found]:
    folders = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    return {
        path.name: Found(reading.relative(path, root), named.name(path))
        for path in folders
        if not path.name.startswith(".") and not channel_problems([path.name])
    }


def _sample(test: Path) -> Path | None:
    found = (path for pattern in _SAMPLES for path in sorted(test.glob(pattern)) if path.is_file())
    return next((path for path in found if path.suffix not in {".sh", ".py"}), None)


def _content_type(named: Folder, test: Path, sample: Path | None) -> Found | None:
    for name in ("predict.sh", "predict_local.sh"):
        if found := reading.first(_TYPE, reading.text_or_none(test / name) or ""):
            return Found(found[0], named.name(test / name, found[1]))
    known = payload.CONTENT_TYPES.get(sample.suffix.lower(), "") if sample else ""
    return Found(known, f"the name of {sample.name}") if sample and known else None


def _variables(named: Folder, test: Path, names: tuple[str, ...]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for name in names:
        for number, line in reading.lines(reading.text_or_none(test / name) or ""):
            for key, value in _VARIABLE.findall(line) if "docker" in line and not line.lstrip().startswith("#") else ():
                found[key] = Found(value, named.name(test / name, number))
    return found


SOURCE = Source("aws-sample", "an AWS sample", recognise, read)
