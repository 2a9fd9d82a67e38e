"""Adopt a project that was made for another tool, or by hand: propose its byoc.toml, and tell what it still misses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from byoc_cli import project
from byoc_cli.adopt import chain, image_rules, reading, sketch, source_rules, stages, toml
from byoc_cli.adopt.proposal import Aside, Missing, Proposal
from byoc_cli.adopt.reading import Folder
from byoc_cli.adopt.sources import SOURCES
from byoc_cli.adopt.sources.source import Source
from byoc_cli.check.static.facts import describe
from byoc_cli.check.training.sources import named
from byoc_cli.contract import paths
from byoc_cli.contract.rules import RULES
from byoc_cli.engine import dockerfile
from byoc_cli.errors import ByocError, MachineError, UsageError
from byoc_cli.project import FILE_NAME, Project

__all__ = ["Adoption", "Missing", "Proposal", "adopt", "existing", "refuse_existing", "write"]

_CHANNEL = re.compile(
    rf"""{re.escape(paths.DATA)}/([A-Za-z0-9][\w.-]*)|\bSM_CHANNEL_([A-Z0-9_]+)|^\s*channel(?:_?name)?\s*=\s*["']([\w.-]+)["']""",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Adoption:
    """A proposal, its text, the Project that it comes to, and what the contract still misses, in the contract's order.

    `taken` is the source; `others` are (name, the file that shows it) of those that the folder is as well.
    """

    proposal: Proposal
    text: str
    project: Project
    taken: Source
    shown_by: Path
    missing: Sequence[Missing]
    others: Sequence[tuple[str, Path]] = ()

    @property
    def file(self) -> Path:
        """Where byoc.toml goes."""
        return self.proposal.root / FILE_NAME


def adopt(folder: Path, *, source: str = "", dockerfile: Path | None = None) -> Adoption:
    """Look at a folder; nothing is written.

    `source` is a name of sources.SOURCES, "" for the first that fits; `dockerfile` is the one to take.

    Raises:
        UsageError: the folder is none, or nothing in it can be adopted; `source` does not fit it.
        ByocError: a file that says something cannot be read.

    """
    folder = _folder(folder)
    chosen = _chosen(folder, dockerfile)
    fitting = _fitting(folder, chosen)
    wanted = [each for each in fitting if source in {"", each[0].name}]
    if not wanted:
        raise _nothing(folder, source, fitting)
    taken, shown_by = wanted[0]
    proposal = taken.read(folder, chosen)
    missing: list[Missing] = list(proposal.missing)
    if proposal.dockerfile:
        proposal, found = _looked_into(proposal, Folder(folder))
        missing += found
    text = toml.render(proposal)
    others = [(each.name, file) for each, file in fitting if each != taken and each.name != "dockerfile"]
    return Adoption(proposal, text, toml.parse(text, proposal.root), taken, shown_by, _ordered(missing), others)


def _folder(folder: Path) -> Path:
    if not folder.is_dir():
        if folder.is_file():
            parent = folder.parent
            raise UsageError(
                f"{folder} is a file\nbyoc adopts a folder",
                hint=f"byoc adopt {quote(str(parent))} --dockerfile {quote(str(folder))}",
            )
        raise UsageError(f"there is no folder '{folder}'", hint="byoc adopt DIR")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MachineError(f"{folder} cannot be read\npermission denied", hint="change its permissions")
    return folder.resolve()


def _chosen(folder: Path, given: Path | None) -> Path | None:
    if given is None:
        return None
    for base in (Path.cwd(), folder):
        file = (base / given).resolve()
        if file.is_file() and file.is_relative_to(folder):
            return file
    raise UsageError(f"--dockerfile {given}: there is no such file in {folder}", hint="name one that is in the folder")


def _fitting(folder: Path, chosen: Path | None) -> list[tuple[Source, Path]]:
    found = [(each, file) for each in SOURCES if (file := each.recognise(folder))]
    if chosen and not any(each.name == "dockerfile" for each, _ in found):
        found.append((SOURCES[-1], chosen))
    return found


def _nothing(folder: Path, source: str, fitting: Sequence[tuple[Source, Path]]) -> UsageError:
    if source and fitting:
        fits = ", ".join(each.name for each, _ in fitting)
        return UsageError(
            f"--from {source}: nothing in {folder} is of that kind\nit has what is of: {fits}",
            hint=f"--from {fitting[0][0].name}",
        )
    known = ", ".join(each.about for each in SOURCES)
    return UsageError(
        f"there is nothing to adopt in {folder}\nno file of these shows: {known}",
        hint=f"byoc init {quote(str(folder))}",
    )


def _looked_into(proposal: Proposal, folder: Folder) -> tuple[Proposal, list[Missing]]:
    """Judge the image that the Dockerfile would make, and its programs; what they name is proposed as comments."""
    assert proposal.dockerfile
    file = proposal.root / proposal.dockerfile.value
    args = {name: found.value for name, found in proposal.args.items()}
    parsed = dockerfile.parse(reading.text(file), args)
    platform = proposal.platform.value if proposal.platform else project.DEFAULT_PLATFORM
    architecture = platform.split("/")[1]
    drawn = sketch.Sketch(stages.draw(parsed, proposal.root, file, platform, args), architecture)
    facts = describe(drawn, drawn.image, architecture)
    facts = replace(facts, toolkit=drawn.toolkit or ("" if drawn.base_is_plain else facts.toolkit))
    train, serve = (chain.of(drawn, facts, word) for word in sketch.COMMANDS)
    missing = [
        *image_rules.judge(drawn, facts, file, folder),
        *image_rules.not_executable_in_git(drawn, proposal.root, folder),
        *source_rules.judge(train, serve, folder),
        *image_rules.context_problems(drawn, proposal.root, file, folder),
    ]
    asides = [*proposal.asides, *_channels(proposal, train, folder), *_hyperparameters(proposal, train, folder)]
    notes = list(proposal.notes)
    if unknown := [word for word in sketch.COMMANDS if drawn.maybe(word)]:
        words = " and ".join(f"`{word}`" for word in unknown)
        base = "" if drawn.base_is_plain else f"come from {drawn.stage.base or 'the base image'}, or "
        notes.append(f"{words} may {base}be made by the build, which is not seen here")
    return replace(proposal, asides=asides, notes=[*notes, *image_rules.unseen(facts)]), missing


def _channels(proposal: Proposal, train: chain.Chain, folder: Folder) -> Iterator[Aside]:
    """Channels that the sources of `train` name, and that nobody has said the data of."""
    seen = set(proposal.channels)
    for source in train.sources:
        for found in _CHANNEL.finditer(source.text):
            name = found[1] or found[3] or found[2].lower()
            if name.lower() not in {each.lower() for each in seen} and not proposal.channels:
                seen.add(name)
                data = next(
                    (each for each in (f"data/{name}", "data") if (proposal.root / each).is_dir()), f"data/{name}"
                )
                line = source.text.count("\n", 0, found.start()) + 1
                why = f"{folder.name(source.file, line)} reads this channel: say where its data is"
                yield Aside("train.channels", f'{toml.key_of(name)} = "{data}"', why)


def _hyperparameters(proposal: Proposal, train: chain.Chain, folder: Folder) -> Iterator[Aside]:
    """Hyperparameters that the sources of `train` name: they have their defaults there, so they need not be here."""
    seen = set(proposal.hyperparameters)
    for source in train.sources:
        for name in named(source.text):
            if name not in seen:
                seen.add(name)
                line = source.line_of(rf"""["'](?:--)?{re.escape(name)}["']""")
                yield Aside(
                    "train.hyperparameters", f'{toml.key_of(name)} = "…"', f"{folder.name(source.file, line)} reads it"
                )


def _ordered(missing: Sequence[Missing]) -> list[Missing]:
    """What has no rule comes first: without it there is no image; then the rules, each finding once."""
    order: Mapping[str, int] = {id_: place for place, id_ in enumerate(RULES, 1)}
    once = {(each.id, each.where, each.seen): each for each in missing}
    return sorted(once.values(), key=lambda each: order.get(each.id, 0))


# -- writing ----------------------------------------------------------------------------------------------------------


def refuse_existing(adoption: Adoption) -> None:
    """Raise where the folder has a project file already.

    Raises:
        UsageError: there is a byoc.toml, or a [tool.byoc].

    """
    if file := existing(adoption):
        what = f"{file} is there already" if file.name == FILE_NAME else f"{file} has a [tool.byoc] already"
        raise UsageError(
            f"{what}\nbyoc adopt does not change what you wrote",
            hint="--dry-run to see what it would write, --overwrite to write it all the same",
        )


def existing(adoption: Adoption) -> Path | None:
    """Name the project file that the folder has already: a byoc.toml, or a pyproject.toml with a [tool.byoc]."""
    _, file = project.find(adoption.proposal.root)
    return file if file and file.parent == adoption.proposal.root else None


def write(adoption: Adoption) -> None:
    """Write byoc.toml, as a whole or not at all, and read it back.

    Raises:
        MachineError: it cannot be written.
        ByocError: what was written does not come to the same project.

    """
    file = adoption.file
    part = file.with_name(f".{FILE_NAME}.{os.getpid()}")
    try:
        try:
            part.write_text(adoption.text, "utf-8", newline="\n")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(
            f"{file} cannot be written\n{error.strerror}", hint="byoc adopt --dry-run > byoc.toml, and put it there"
        ) from error
    if project.load(file.parent, {}) != adoption.project:
        raise ByocError(f"{file} does not come to what was proposed", hint="please report this, with the file")
