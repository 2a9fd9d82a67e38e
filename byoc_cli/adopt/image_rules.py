"""What the image of a Dockerfile lacks: the rules of `byoc check` that start nothing, on a sketch of it."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from byoc_cli.adopt import chain
from byoc_cli.adopt.proposal import Missing
from byoc_cli.adopt.reading import Folder
from byoc_cli.adopt.sketch import COMMANDS, Sketch
from byoc_cli.adopt.source_rules import missing
from byoc_cli.adopt.stages import words_of
from byoc_cli.check.model import Finding, failed
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.table import STEPS
from byoc_cli.contract import hosting
from byoc_cli.engine import context
from byoc_cli.errors import some

_JUDGED = ("T-01", "T-06", "T-07", "T-29", "T-60", "H-01", "I-06", "I-08", "I-12", "I-14")
# Where in the Dockerfile a rule's evidence stands.
_WORDS = {
    "T-60": ("USER",),
    "T-06": ("ENTRYPOINT",),
    "T-07": ("ENTRYPOINT",),
    "I-12": ("STOPSIGNAL",),
    "I-14": ("LABEL",),
}
_NOT_FOR_AN_IMAGE = (".git", ".env", ".venv", "venv", "node_modules", "data", "local_test", "notebooks", "*.ipynb")


def judge(sketch: Sketch, facts: ImageFacts, dockerfile: Path, folder: Folder) -> Iterator[Missing]:
    """Judge the rules, each with the line of the Dockerfile or the file that it is about."""
    names = {posixpath.basename(source) for source, _ in sketch.stage.absent}
    absent = {id_ for id_, word in zip(("T-01", "H-01"), COMMANDS, strict=True) if word in names}  # COPY is the cause
    for step in STEPS:
        for rule in step.rules if step.name == "static" else ():
            verdict = (
                rule.judge(sketch.with_folders(facts) if rule.id == "I-06" else facts) if rule.id in _JUDGED else None
            )
            if rule.id in absent:
                continue
            if verdict and verdict.result in {"fail", "warn"}:
                if rule.id == "H-01" and (fix := _by_command(sketch, facts)):
                    verdict = replace(verdict, fix=fix)
                found = Finding(rule, verdict, 0.0)
                seen = verdict.seen
                yield Missing(seen, found.fix, _where(found, sketch, facts, dockerfile, folder), found)


def _by_command(sketch: Sketch, facts: ImageFacts) -> str:
    """Make a `serve` of what CMD starts, where that is a server; "" where it is none."""
    words = words_of(sketch.stage.config.command)
    if facts.serve.by_entrypoint or facts.serve.elsewhere or not chain.of(sketch, facts, hosting.COMMAND).sources:
        return ""
    command = re.sub(r"((?:-b|--bind)[ =]\S*?:|--port[ =])\d{2,5}\b", rf"\g<1>{hosting.PORT}", shlex.join(words))
    command = re.sub(r"((?:-b|--bind|--host)[ =])(?:127\.0\.0\.1|localhost)\b", r"\g<1>0.0.0.0", command)
    script = f"#!/bin/sh\\nexec {command}\\n"
    return f"printf '{script}' > serve && chmod +x serve\nCOPY serve /usr/local/bin/serve" if "'" not in script else ""


def unseen(facts: ImageFacts) -> Iterator[str]:
    """Why it cannot be told whether `train` and `serve` come to a program."""
    for step in STEPS:
        for rule in step.rules if step.name == "static" else ():
            verdict = rule.judge(facts) if rule.id in {"T-01", "H-01"} else None
            if verdict and verdict.result == "skip" and not facts.train.shell_form:
                yield f"{rule.id}: {verdict.seen}"


def _where(found: Finding, sketch: Sketch, facts: ImageFacts, dockerfile: Path, folder: Folder) -> str:
    id_, stage = found.rule.id, sketch.stage
    words: Sequence[str] = ("VOLUME",) if "VOLUME" in found.verdict.seen else _WORDS.get(id_, ())
    if id_ in {"T-01", "H-01"}:
        start = facts.train if id_ == "T-01" else facts.serve
        if start.elsewhere in stage.files:
            return folder.name(dockerfile, stage.files[start.elsewhere].line)
        words = ("ENTRYPOINT", "CMD", *stage.lines)
    if words:
        return folder.name(dockerfile, next((stage.lines[word] for word in words if word in stage.lines), 0))
    # A file: of this machine where it is about what is in it, else the line that copies it.
    for path, copied in stage.files.items():
        if re.search(rf"{re.escape(path)}(?![\w./-])", found.verdict.seen):
            return folder.name(copied.source, 1)
        if id_ == "I-08" and any(path.startswith(f"{hidden}/") for hidden in facts.hidden):
            return folder.name(dockerfile, copied.line)
    return folder.name(dockerfile)


def context_problems(sketch: Sketch, root: Path, dockerfile: Path, folder: Folder) -> Iterator[Missing]:
    """What would go wrong with the build, or into the image with it. No rule of SageMaker's."""
    for source, line in sketch.stage.absent:
        yield Missing(
            f"COPY {source}: there is no such file in the build's context, {folder.name(root)}",
            f"correct the path: it is relative to {folder.name(root)}",
            folder.name(dockerfile, line),
            blocks=True,
        )
    line = sketch.stage.whole_context or _copies(sketch, root)
    if line and context.ignore_file(root, dockerfile) is None:
        there = [each for each in _NOT_FOR_AN_IMAGE if next(iter(root.glob(each)), None) or _inside(sketch, root, each)]
        if there:
            anywhere = {"local_test": "**/local_test", "*.ipynb": "**/*.ipynb"}
            lines = "\\n".join(["**/__pycache__", *(anywhere.get(each, each) for each in there)])
            yield Missing(
                f"there is no .dockerignore: {some(there)} would go into the image",
                f"printf '{lines}\\n' > {folder.name(root / '.dockerignore')}",
                folder.name(dockerfile, line),
            )


def _copies(sketch: Sketch, root: Path) -> int:
    """The line that copies a local_test/ with the rest of a folder."""
    for copied in sketch.stage.files.values():
        if "local_test" in copied.source.relative_to(root).parts:
            return copied.line
    return 0


def _inside(sketch: Sketch, root: Path, name: str) -> bool:
    return name == "local_test" and bool(_copies(sketch, root))


def not_executable_in_git(sketch: Sketch, root: Path, folder: Folder) -> Iterator[Missing]:
    """Programs that are executable here, but not where the repository is cloned."""
    programs = [
        copied
        for path, copied in sketch.stage.files.items()
        if (posixpath.basename(path) in COMMANDS or path in _started(sketch))
        and copied.mode & 0o111
        and not sketch.made_executable(path)
        and os.name == "posix"
    ]
    for file, mode in _modes(root, [copied.source for copied in programs]):
        if mode == "100644":
            name = folder.name(file)
            seen = f"{name} is executable here, but not in git: it is not where this is cloned"
            yield missing("I-06", failed(seen, f"git update-index --chmod=+x {name}"), folder.name(file, 1))


def _started(sketch: Sketch) -> Sequence[str]:
    config = sketch.stage.config
    return [posixpath.normpath(posixpath.join(config.working_folder or "/", word)) for word in config.entrypoint]


def _modes(root: Path, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Ask git for the modes of files; nothing where there is no git, or no repository."""
    if not files:
        return
    names = [os.path.relpath(file, root) for file in files]
    try:
        asked = subprocess.run(
            ["git", "ls-files", "-s", "-z", "--", *names], cwd=root, capture_output=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    for entry in asked.stdout.decode(errors="replace").split("\0"):
        if "\t" in entry:
            about, _, name = entry.partition("\t")
            yield root / name, about.partition(" ")[0]
