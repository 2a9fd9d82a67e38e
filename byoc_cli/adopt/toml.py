"""A proposal as the text of a byoc.toml, each value with a comment that says where it was found.

Written by hand: all values are texts, so that a library would only be asked to quote them; what is written is read
back by the project's own reader before anybody sees it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from byoc_cli.adopt.proposal import Found, Proposal
from byoc_cli.project import FILE_NAME, Project
from byoc_cli.project.reader import Reader

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def render(proposal: Proposal) -> str:
    """Write the text."""
    head = f"# Made by `byoc adopt` from {proposal.source}; the comments say where each value was found."
    dockerfile = proposal.dockerfile if proposal.dockerfile and proposal.dockerfile.value != "Dockerfile" else None
    sections: Mapping[str, Mapping[str, Found | None]] = {
        "": {"image": proposal.image, "platform": proposal.platform},
        "build": {"dockerfile": dockerfile},
        "build.args": proposal.args,
        "train": {},
        "train.hyperparameters": proposal.hyperparameters,
        "train.channels": proposal.channels,
        "train.metrics": proposal.metrics,
        "train.environment": proposal.train_environment,
        "serve.environment": proposal.serve_environment,
        "predict": {"sample": proposal.sample, "content-type": proposal.content_type},
    }
    blocks = [head]
    for section, values in sections.items():
        asides = [f"# {_plain(each.line)}  # {_plain(each.why)}" for each in proposal.asides if each.section == section]
        if lines := [*_lines(values), *asides]:
            blocks.append("\n".join([f"[{section}]", *lines] if section else lines))
    return "\n\n".join(blocks) + "\n"


def parse(text: str, root: Path) -> Project:
    """Read the text as `byoc build` will.

    Raises:
        UsageError: it is no project file.

    """
    file = root / FILE_NAME
    return Reader(file).project(root, file, tomllib.loads(text))


def _lines(values: Mapping[str, Found | None]) -> Iterator[str]:
    for key, found in values.items():
        if found is not None:
            comment = f"  # {_plain(found.where)}" if found.where not in {"", found.value} else ""
            yield f"{key_of(key)} = {_value(found.value)}{comment}"


def key_of(name: str) -> str:
    """Write a key."""
    return name if _BARE.fullmatch(name) else _quoted(name)


def _value(text: str) -> str:
    """Quote a text: as '…' where that spares backslashes, as in regular expressions."""
    return f"'{text}'" if "\\" in text and "'" not in text and text.isprintable() else _quoted(text)


def _quoted(text: str) -> str:
    """Quote a text as JSON does, which differs from TOML in one character."""
    whole = text.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text.encode("utf-8", "replace").decode())
