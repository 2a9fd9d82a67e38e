"""Which files of the context a RUN uses: what it has made of them is in the image until the next build. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from byoc_cli.engine.dockerfile import Instruction

_LONGEST = 60

# They make nothing of a file's content; what they do to its mode and owner is read from the image.
_HARMLESS = re.compile(
    r"chmod|chown|chgrp|mkdir|ls|test|\[\[?|touch|echo|printf|stat|file|ln|cat|cd|set|true|rm|export|find|id|sh|bash"
    r"|useradd|groupadd|adduser|addgroup|if|then|else|fi"
)
_CHANGING = re.compile(r"\bsed -i|\bdos2unix\b")
# They work on the folder that they are started in, without naming it.
_BUILDERS = re.compile(r"make|cmake|go|cargo|npm|yarn|pnpm|poetry|pdm|mvn|gradle|gcc|g\+\+|cc|uv")
_INSTALLERS = re.compile(r"pip[\d.]*|uv|conda|mamba|micromamba|apt-get|apt|apk|yum|dnf|npm|Rscript|poetry|pdm")
_EDITABLE = re.compile(r"\s(-e|--editable)[\s=]")


@dataclass(frozen=True)
class Use:
    """A step that used a file, in short; `input_only` says that nothing but such steps has any use for it."""

    step: str
    input_only: bool = False


def uses(line: Instruction, folder: str, files: Mapping[str, str]) -> dict[str, Use]:
    """Say which sources a RUN in `folder` uses (`files`: absolute path to source), or mounts of the context."""
    found: dict[str, Use] = {}
    rest = line.text.partition("\n")[2] if line.heredoc else line.rest
    while mount := re.match(r"--(\w+)=(\S+)\s+", rest):
        options = dict(part.partition("=")[::2] for part in mount[2].split(","))
        source = options.get("source") or options.get("src") or ""
        if mount[1] == "mount" and options.get("type", "bind") == "bind" and source and "from" not in options:
            found[posixpath.normpath(source)] = Use(shortened(f"RUN {rest[mount.end() :]}"), input_only=True)
        rest = rest[mount.end() :]
    for words in _commands(rest):
        if words[0] == "cd" and len(words) > 1:
            folder = posixpath.normpath(posixpath.join(folder, words[1]))
        found |= _used_by(words, folder, files)
    return found


def _used_by(words: list[str], folder: str, files: Mapping[str, str]) -> dict[str, Use]:
    program = posixpath.basename(words[0])
    if program.startswith("python") and words[1:2] == ["-m"]:
        program, words = (words[2:3] or [""])[0], words[2:]
    text = " ".join(words)
    if program == "compileall" or (_HARMLESS.fullmatch(program) and not _CHANGING.search(text)):
        return {}
    installs = bool(_INSTALLERS.fullmatch(program))
    editable = bool(_EDITABLE.search(f"{text} "))
    named = [posixpath.normpath(posixpath.join(folder, word)) for word in _paths(words[1:])]
    named += [folder] if _BUILDERS.fullmatch(program) else []
    named += [posixpath.normpath(posixpath.join(folder, words[0]))] if "/" in words[0] else []
    found = {}
    for place, source in files.items():
        for name in named:
            if place == name or fnmatchcase(place, name):
                found[source] = Use(shortened(f"RUN {text}"), input_only=installs and not _starts(place))
            elif place.startswith(name.rstrip("/") + "/") and not editable and name != "/":
                found.setdefault(source, Use(shortened(f"RUN {text}")))
    return found


def _starts(place: str) -> bool:
    return posixpath.basename(place) in {"train", "serve"}


def _paths(words: list[str]) -> Iterator[str]:
    """Give what may be a path among a command's words; `.[extra]` and `--file=x` have one."""
    for word in words:
        name = word.rpartition("=")[2] if word.startswith("-") else word
        if name and not name.startswith("-"):
            yield re.sub(r"(?<=.)\[[\w,]+\]$", "", name)


def _commands(text: str) -> Iterator[list[str]]:
    """Split a RUN into commands, each a list of words without quotes and assignments."""
    if text.startswith("["):
        text = text.strip("[] ").replace('",', '" ')
    for part in re.split(r"&&|\|\||[;|\n(){}]", text):
        words = [word.strip("\"'") for word in re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", part)]
        while words and (re.fullmatch(r"\w+=.*", words[0]) or words[0] in {"!", "then", "else", "do", "sudo", "exec"}):
            words.pop(0)
        if words:
            yield words


def shortened(text: str) -> str:
    """Quote an instruction in a line."""
    text = re.sub(r"\s+", " ", text).strip()
    return f"`{text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}`"
