"""A manifest: the file that says which objects a channel has (T-56)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from byoc_cli.contract.channels import S3
from byoc_cli.errors import UsageError
from byoc_cli.project.home import expanded

_EXAMPLE = '[{"prefix": "s3://bucket/folder/"}, "a.csv", "below/b.csv"]'


@dataclass(frozen=True)
class Manifest:
    """`names` are relative to `prefix`: an s3:// folder, a folder of this machine, or "" for the channel's source."""

    file: Path
    prefix: str
    names: tuple[str, ...]

    def folder(self, source: Path) -> Path:
        """Where the objects are on this machine.

        A prefix in S3 is the channel's source: what was downloaded, or a copy of it that is given instead.
        """
        if not self.prefix or self.prefix.startswith(S3):
            return source
        return source / expanded(self.prefix)


def read(file: Path) -> Manifest:
    """Read a manifest: a JSON list of names, before them at most one `{"prefix": …}`.

    Raises:
        UsageError: it cannot be read, or is none; says where.

    """
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"the manifest {file} cannot be read\n{error.strerror}", hint="manifest=FILE") from error
    except ValueError as error:  # of the JSON, or of the UTF-8
        hint = f"for example: {_EXAMPLE}"
        if _is_json_lines(file):
            hint = "augmented manifests (a JSON object on each line) are not supported; " + hint
        raise _wrong(file, f"it is not JSON: {error}", hint) from error
    if not isinstance(content, list):
        raise _wrong(file, "it is not a list")
    head, names = (content[0], content[1:]) if content and isinstance(content[0], dict) else ({}, content)
    prefix = _prefix(file, head)
    for number, name in enumerate(names, 1):
        if not isinstance(name, str):
            raise _wrong(file, f"name {number} is {name!r}")
        if problem := _name_problem(name):
            raise _wrong(file, f"'{name}' {problem}")
    if not names:
        raise _wrong(file, "it lists nothing")
    return Manifest(file, prefix, tuple(names))


def _prefix(file: Path, head: dict[str, Any]) -> str:
    if not head:
        return ""
    prefix = head.get("prefix")
    if list(head) != ["prefix"] or not isinstance(prefix, str):
        raise _wrong(file, f"its first entry is {json.dumps(head)}")
    if prefix.startswith(S3) and not prefix.endswith("/"):
        # SageMaker puts prefix and name together as they are.
        raise _wrong(
            file, f"SageMaker would look for {prefix}NAME: the prefix has no '/' at its end", f'"prefix": "{prefix}/"'
        )
    return prefix


def _name_problem(name: str) -> str:
    if not name or name.endswith("/"):
        return "is not the name of a file"
    if name.startswith(S3) or PurePosixPath(name).is_absolute():
        return "is not relative to the prefix"
    return "leaves the prefix" if ".." in PurePosixPath(name).parts else ""


def _is_json_lines(file: Path) -> bool:
    try:
        first = file.read_text("utf-8-sig").partition("\n")[0]
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _wrong(file: Path, why: str, hint: str = "") -> UsageError:
    return UsageError(f"the manifest {file} is wrong\n{why}", hint=hint or f"for example: {_EXAMPLE}")
