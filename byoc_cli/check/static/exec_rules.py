"""Whether what is started can be executed: the kernel's and runc's view of files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from byoc_cli.check.model import Verdict, failed, passed, skipped
from byoc_cli.check.static import STATIC
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.static.programs import SHELLS, Program, Start
from byoc_cli.contract import cloud_words

# Who reads a file: the kernel; the kernel for a shell, which runs what has no shebang itself; a shell; another program.
_Reader = Literal["kernel", "exec", "shell", "other"]
_BY_ENV = re.compile(r"\s*\S*/env\s")
_ALSO_RUN = {"amd64": {"amd64", "386"}, "arm64": {"arm64", "arm"}}


@dataclass(frozen=True)
class _Fault:
    seen: str
    fix: str
    reason: str
    code: int


@STATIC.rule(
    "I-06",
    "what is started can be executed: x bit, line ends, interpreter",
    "make the file executable, with LF line ends and a shebang whose program is in the image",
)
def can_be_executed(image: ImageFacts) -> Verdict:
    """Look at each program on the way from the start to the user's own file."""
    faults: dict[_Fault, list[str]] = {}
    looked = []
    for start in image.starts:
        for program, reader in _programs_of(start):
            looked.append(program.path)
            for fault in _faults(program, reader, image.image.architecture, changes_path=start.changes_path):
                faults.setdefault(fault, []).append(start.word)
    if not looked:
        return skipped("there is nothing to execute (T-01, H-01)")
    if not faults:
        return passed(", ".join(dict.fromkeys(looked)))
    clouds = (cloud_words.cannot_start(words, fault.reason, fault.code) for fault, words in faults.items())
    return failed(
        "\n".join(fault.seen for fault in faults),
        "\n".join(dict.fromkeys(fault.fix for fault in faults)),
        "\n".join(dict.fromkeys(clouds)),
    )


def _programs_of(start: Start) -> Iterator[tuple[Program, _Reader]]:
    if start.program.path:
        yield start.program, "kernel"
    if start.script and start.script.path:
        yield start.script, "shell" if start.program.path.rpartition("/")[2] in SHELLS else "other"
    by_script = start.by_entrypoint and start.executes_its_arguments and not start.speaks_of(start.word)
    if by_script and start.on_path.path:
        yield start.on_path, "exec"


def _faults(program: Program, reader: _Reader, architecture: str, *, changes_path: bool) -> Iterator[_Fault]:
    """All that is wrong with a file, for the one who reads it: Python is given any file.

    What env finds on a PATH that ENTRYPOINT changes is not known.
    """
    if reader == "other":
        return
    of_shell = reader == "shell" or any(name in (program.shebang or "") for name in SHELLS)
    found = [_carriage_return(program, of_shell=of_shell)]
    if reader != "shell":
        found = [_x_bit(program), *found, _machine(program, architecture), _loader(program)]
        if not (reader == "exec" and changes_path and _BY_ENV.match(program.shebang or "")):
            found.insert(2, _shebang(program))
    if reader == "kernel":
        found.append(_format(program))
    yield from filter(None, found)


def _x_bit(program: Program) -> _Fault | None:
    if program.executable:
        return None
    word = program.word
    # On PATH what cannot be executed is passed over.
    reason, code = (cloud_words.NOT_PERMITTED, 126) if "/" in word else (cloud_words.NOT_FOUND, 127)
    return _Fault(f"{program.path} is not executable", f"RUN chmod +x {program.path}", reason.format(word=word), code)


def _carriage_return(program: Program, *, of_shell: bool) -> _Fault | None:
    text = program.text.partition("\0")[0]  # a script may have an archive behind it
    first, more, _ = text.partition("\n")
    in_shebang = program.shebang is not None and first.endswith("\r")
    if not more or not (in_shebang or (of_shell and "\r\n" in text)):
        return None
    return _Fault(
        f"{program.path} has Windows line ends (CRLF); its first line is {first!r}",
        f"RUN sed -i 's/\\r$//' {program.path}, and `* text=auto eol=lf` in .gitattributes",
        cloud_words.NO_SUCH_FILE.format(word=program.path) + " (or exit code 2 and an empty log)",
        127,
    )


def _shebang(program: Program) -> _Fault | None:
    interpreter = program.interpreter
    if program.shebang is None or (interpreter and interpreter.path and interpreter.executable):
        return None
    if interpreter and interpreter.path:
        seen = f"{program.path} begins with #!{program.shebang.strip()}, and {interpreter.path} is not executable"
        return _Fault(
            seen, f"RUN chmod +x {interpreter.path}", cloud_words.NOT_PERMITTED.format(word=program.path), 126
        )
    name = interpreter.word if interpreter and interpreter.word else program.shebang.strip()
    return _Fault(
        f"{program.path} begins with #!{program.shebang.strip()}, and {name or 'nothing'} is not in the image",
        f"install {name}, or let {program.path} begin with a program that is there",
        cloud_words.NO_SUCH_FILE.format(word=program.path),
        127,
    )


def _format(program: Program) -> _Fault | None:
    if program.is_elf or program.shebang is not None:
        return None
    what = "is empty" if program.empty else "has no shebang, and is no binary"
    return _Fault(
        f"{program.path} {what}",
        f"let {program.path} begin with a line like #!/usr/bin/env python3 or #!/bin/sh",
        cloud_words.WRONG_FORMAT.format(word=program.path),
        126,
    )


def _machine(program: Program, architecture: str) -> _Fault | None:
    binary = program if program.is_elf else program.interpreter
    if not binary or not binary.is_elf or binary.machine in _ALSO_RUN.get(architecture, {architecture}):
        return None
    return _Fault(
        f"{binary.path} is made for {binary.machine}, the image says {architecture}",
        f"build for one platform: byoc build, or docker build --platform linux/{architecture}",
        cloud_words.WRONG_FORMAT.format(word=binary.path),
        126,
    )


def _loader(program: Program) -> _Fault | None:
    binary = program if program.is_elf else program.interpreter
    if not binary or binary.loader_is_there:
        return None
    return _Fault(
        f"{binary.path} needs {binary.loader}, which is not in the image: it was linked for another system",
        "link it statically (CGO_ENABLED=0, -static), or build it on the image's own base",
        cloud_words.NO_SUCH_FILE.format(word=binary.path),
        127,
    )
