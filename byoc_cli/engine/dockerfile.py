"""Read a Dockerfile as far as byoc must: its bases, its stages, its mounts; and rewrite it for the classic builder.

By hand, because what is read is also written back to the letter, and dockerfile-parse (the library) knows neither
`RUN --mount` nor `${NAME:-default}`. Pure: text in, text out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from byoc_cli.errors import ByocError, UsageError

SECRETS_STAGE = "byoc-secrets"


@dataclass(frozen=True)
class Instruction:
    """One instruction: upper-case `word`, the `rest` with continuations joined, and its `text` as it stands.

    `line` is where it begins, from 1.
    """

    word: str
    rest: str
    text: str
    heredoc: bool = False
    line: int = 0


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next; `base` has its variables replaced."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Dockerfile:
    """`arguments` are the ARGs before the first FROM with their defaults (None where there is none)."""

    head: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    arguments: Mapping[str, str | None] = field(default_factory=dict)

    def target(self, name: str) -> int:
        """Return the index of the stage to build: by name or number, the last with "".

        Raises:
            UsageError: there is no such stage; names those that there are.

        """
        for index, stage in enumerate(self.stages):
            if name and name.lower() in {stage.name.lower(), str(index)}:
                return index
        if name:
            named = ", ".join(stage.name for stage in self.stages if stage.name)
            raise UsageError(
                f"there is no stage '{name}' in the Dockerfile", hint=f"its stages: {named or 'none has a name'}"
            )
        return len(self.stages) - 1

    def needed(self, target: str = "") -> list[int]:
        """Indexes of the stages that `target` is made of, in order."""
        open_, needed = [self.target(target)], set[int]()
        while open_:
            index = open_.pop()
            if index in needed:
                continue
            needed.add(index)
            stage = self.stages[index]
            sources = [stage.base, *(source for line in stage.instructions for source in sources_of(line))]
            open_ += [found for source in sources if (found := self.stage(source, index)) is not None]
        return sorted(needed)

    def bases(self, target: str = "") -> list[str]:
        """Images from a registry that `target` is made of, each once."""
        bases: dict[str, None] = {}
        for index in self.needed(target):
            stage = self.stages[index]
            if self.stage(stage.base, index) is None and stage.base != "scratch":
                bases[stage.base] = None
        return list(bases)

    def stage(self, source: str, before: int) -> int | None:
        """Return the index of a stage before another that FROM or --from names; None for an image."""
        for index in range(before - 1, -1, -1):
            if source.lower() == self.stages[index].name.lower() or source == str(index):
                return index
        return None


def parse(text: str, args: Mapping[str, str] | None = None) -> Dockerfile:
    """Parse a Dockerfile, with `args` (--build-arg) in the place of defaults.

    Raises:
        ByocError: there is no FROM.

    """
    head: list[Instruction] = []
    stages: list[tuple[str, str, list[Instruction]]] = []
    defaults: dict[str, str | None] = {}
    for line in _instructions(text):
        if line.word == "FROM":
            words = [word for word in line.rest.split() if not word.startswith("--")]
            values = {name: (args or {}).get(name, value) for name, value in defaults.items()}
            name = words[2] if len(words) > 2 and words[1].lower() == "as" else ""
            stages.append((expand(words[0], values) if words else "", name, [line]))
        elif stages:
            stages[-1][2].append(line)
        else:
            head.append(line)
            if line.word == "ARG":
                for name, value in pairs(line.rest).items():
                    values = {**defaults, **{key: given for key, given in (args or {}).items() if key in defaults}}
                    defaults[name] = None if value is None else expand(value, values)
    if not stages:
        raise ByocError("the Dockerfile has no FROM", hint="its first instruction names the image to start from")
    return Dockerfile(tuple(head), tuple(Stage(base, name, tuple(lines)) for base, name, lines in stages), defaults)


def classic(file: Dockerfile, target: str, secrets: Mapping[str, str]) -> str:
    """Rewrite for the classic builder, which knows no `RUN --mount` and builds every stage.

    Stages that `target` does not need are dropped and so are cache mounts, which are there for speed only. A
    secret mount becomes a COPY from the stage image `byoc-secrets` in every stage but the last (the two-stage
    way: what is copied there stays out of the image); in the last it is dropped, and the secret is not offered.

    `secrets` maps a secret's id to the image reference that holds it as /<id>.

    Raises:
        ByocError: an instruction that only BuildKit knows and that has no such translation.

    """
    last = file.target(target)
    lines = [line.text for line in file.head]
    for index in file.needed(target):
        for line in file.stages[index].instructions:
            lines += _classic_run(line, {} if index == last else secrets) if line.word == "RUN" else [line.text]
            if line.heredoc:
                raise _only_buildkit("a here-document (<<EOF)")
            flag = re.match(r"(?:--\S+\s+)*?--(chmod|link|parents|exclude)\b", line.rest)
            if flag and line.word in {"COPY", "ADD"}:
                raise _only_buildkit(f"{line.word} --{flag[1]}")
    return "\n".join(lines) + "\n"


def _classic_run(line: Instruction, secrets: Mapping[str, str]) -> list[str]:
    rest, copies = line.rest, []
    while flag := re.match(r"--(mount|network|security)=(\S+)\s+", rest):
        rest = rest[flag.end() :]
        if flag[1] != "mount":
            raise _only_buildkit(f"RUN --{flag[1]}")
        options = dict(part.partition("=")[::2] for part in flag[2].split(","))
        kind = options.get("type", "bind")
        if kind == "secret":
            name = options.get("id") or options.get("target", "").rsplit("/", 1)[-1]
            place = options.get("target") or options.get("dst") or f"/run/secrets/{name}"
            if name in secrets:
                copies.append(f"COPY --from={secrets[name]} /{name} {place}")
        elif kind != "cache":
            raise _only_buildkit(f"RUN --mount=type={kind}")
    return [*copies, f"RUN {rest}"] if rest != line.rest else [line.text]


def _only_buildkit(what: str) -> ByocError:
    return ByocError(
        f"the Dockerfile uses {what}, which the classic builder does not know",
        hint="install the buildx plugin (package docker-buildx or docker-buildx-plugin)",
    )


def _instructions(text: str) -> list[Instruction]:
    """Split into instructions: continuation lines joined, comments and empty lines inside them dropped."""
    lines = text.removeprefix("\ufeff").splitlines()
    directives = itertools.takewhile(re.compile(r"#\s*\w+\s*=").match, lines)
    escape = "`" if any(re.match(r"#\s*escape\s*=\s*`", line, re.IGNORECASE) for line in directives) else "\\"
    found: list[Instruction] = []
    at = 0
    while at < len(lines):
        start, joined, begins = at, "", 0
        while at < len(lines):
            line = lines[at].strip()
            at += 1
            if line.startswith("#") or (not line and joined):
                continue
            begins = begins or at
            joined += line.removesuffix(escape).rstrip() + " " if line.endswith(escape) else line
            if not line.endswith(escape):
                break
        word, *others = joined.split(maxsplit=1) or [""]
        if not word:
            continue
        rest = others[0] if others else ""
        end = _heredoc_end(word, rest, lines, at)
        found.append(Instruction(word.upper(), rest.strip(), "\n".join(lines[start:end]), end > at, begins))
        at = end
    return found


def _heredoc_end(word: str, rest: str, lines: list[str], at: int) -> int:
    """Return the index after the here-documents that an instruction opens; `at` where it opens none."""
    if word.upper() not in {"RUN", "COPY", "ADD"}:
        return at
    for mark in re.findall(r"(?<!<)<<-?[\"']?([A-Za-z_]\w*)[\"']?", rest):
        for index in range(at, len(lines)):
            if lines[index].strip() == mark:
                at = index + 1
                break
    return at


def pairs(rest: str) -> dict[str, str | None]:
    """Read the K=V of an ARG, ENV or LABEL instruction; None where there is no value."""
    found: dict[str, str | None] = {}
    for part in re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", rest):
        name, equals, value = part.partition("=")
        found[name] = value.strip("\"'") if equals else None
    return found


def platform_arguments(platform: str) -> dict[str, str]:
    """Return the build arguments that a platform brings."""
    system, _, machine = platform.partition("/")
    return {"TARGETPLATFORM": platform, "TARGETOS": system, "TARGETARCH": machine.partition("/")[0]}


def sources_of(line: Instruction) -> list[str]:
    """Stages or images that an instruction copies or mounts from."""
    if line.word in {"COPY", "ADD"}:
        return re.findall(r"--from=(\S+)", line.rest)
    if line.word == "RUN":
        return re.findall(r"--mount=\S*\bfrom=([^\s,]+)", line.rest)
    return []


def expand(text: str, values: Mapping[str, str | None]) -> str:
    """Replace $NAME, ${NAME}, ${NAME:-default} and ${NAME:+other}."""

    def value(found: re.Match[str]) -> str:
        name, operator, word = found["plain"] or found["name"], found["operator"], found["word"] or ""
        current = values.get(name) or ""
        if operator == ":-":
            return current or word
        if operator == ":+":
            return word if current else ""
        return current

    pattern = r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<operator>:[-+])(?P<word>[^}]*))?\})"
    return re.sub(pattern, value, text).strip("\"'")
