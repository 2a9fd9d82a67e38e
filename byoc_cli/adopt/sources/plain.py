"""A Dockerfile, and nothing that says more: what the scripts beside it and the copied programs tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from byoc_cli import image_ref
from byoc_cli.adopt import reading
from byoc_cli.adopt.proposal import Aside, Found, Missing, Proposal
from byoc_cli.adopt.reading import Folder
from byoc_cli.adopt.sources.source import Source
from byoc_cli.adopt.stages import listed
from byoc_cli.engine import dockerfile
from byoc_cli.errors import ByocError, UsageError, some
from byoc_cli.project.settings import PLATFORM

_PLACES = ("", "container", "docker", "Docker", "build")
_SCRIPTS = ("build_and_push.sh", "build-and-push.sh", "build.sh", "push.sh", "Makefile", "local_test/*.sh", "*.sh")
_MOST_SCRIPTS = 20
_MADE_OF = r"[a-z0-9][a-z0-9._/:-]*"
_IMAGE = re.compile(
    rf"docker\s+(?:buildx\s+)?build\b[^\n]*?\s(?:-t|--tag)[\s=]+[\"']?({_MADE_OF})[\"']?(?:\s|$)"
    rf"|^\s*(?:export\s+)?(?:image|image_name|algorithm_name|repo(?:sitory)?(?:_name)?)\s*:?=\s*[\"']?({_MADE_OF})[\"']?\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_PLATFORM = re.compile(rf"--platform[\s=]+[\"']?({PLATFORM})\b")
_METRIC = re.compile(r"""["']Name["']\s*:\s*["']([^"'\n]+)["']\s*,\s*["']Regex["']\s*:\s*[rR]?(["'])(.+?)\2\s*\}""")


def find(folder: Path) -> list[Path]:
    """Find Dockerfiles, the likeliest first: in the folder, in container/ and docker/; then those with a suffix."""
    exact = [folder / place / "Dockerfile" for place in _PLACES]
    suffixed = [
        path
        for place in _PLACES
        for pattern in ("Dockerfile.*", "Dockerfile-*", "*.Dockerfile", "*.dockerfile")
        for path in sorted((folder / place).glob(pattern))
        if not path.name.endswith((".dockerignore", "-checkpoint", "~", ".bak", ".orig"))
    ]
    return list(dict.fromkeys(path for path in (*exact, *suffixed) if path.is_file()))


def recognise(folder: Path) -> Path | None:
    """Any Dockerfile."""
    return next(iter(find(folder)), None)


def read(folder: Path, chosen: Path | None) -> Proposal:
    """Propose what the Dockerfile and its scripts tell.

    Raises:
        ByocError: the Dockerfile cannot be read.

    """
    found = find(folder)
    file = chosen or found[0]
    proposal = of_dockerfile(folder, file, "a Dockerfile")
    others = [Folder(folder).name(each) for each in found if each != file]
    if others and not chosen:
        taken = f"{Folder(folder).name(file)} was taken; there is also {some(others)}"
        proposal = replace(proposal, notes=[*proposal.notes, f"{taken}: byoc adopt --dockerfile {others[0]}"])
    return proposal


def of_dockerfile(folder: Path, file: Path, source: str) -> Proposal:
    """Propose what a Dockerfile tells: its place, its context, the image's name and platform.

    Raises:
        ByocError: it cannot be read, or is none.

    """
    content = reading.text(file)
    try:
        parsed = dockerfile.parse(content)
    except ByocError as error:
        raise reading.broken(file, f"{error.message}: {error.hint}") from error
    named, root = Folder(folder), context_of(folder, file, parsed)
    relative = file.relative_to(root).as_posix()
    scripts = list(scripts_of(folder, root))
    return Proposal(
        source=source,
        root=root,
        image=image_name(folder, root, [file, *scripts]),
        dockerfile=Found(relative, named.name(file)),
        platform=_platform(named, [file, *scripts]),
        metrics=metrics(folder, root),
        asides=_unset(parsed),
        missing=[*_no_value(named, file, parsed)],
    )


def context_of(folder: Path, file: Path, parsed: dockerfile.Dockerfile) -> Path:
    """Tell the build's context: of the Dockerfile's own folder and `folder` that which has more of what COPY brings.

    Where both have as much it is the Dockerfile's own.
    """
    sources = [
        source.lstrip("/")
        for stage in parsed.stages
        for line in stage.instructions
        if line.word in {"COPY", "ADD"} and "--from=" not in line.rest
        for source in _copied(line.rest)
        if "://" not in source and "$" not in source
    ]
    has = {each: sum(_exists(each, source) for source in sources) for each in (file.parent, folder)}
    return folder if file.is_relative_to(folder) and has[folder] > has[file.parent] else file.parent


def _copied(rest: str) -> Sequence[str]:
    rest = re.sub(r"^(?:--\S+\s+)+", "", rest)
    return (listed(rest) or rest.split())[:-1]


def _exists(folder: Path, source: str) -> bool:
    return bool(source.strip("./")) and next(iter(folder.glob(source)), None) is not None


def scripts_of(folder: Path, root: Path) -> Iterator[Path]:
    """Give the scripts that build, push and run the image, those that say most first."""
    places = dict.fromkeys((root, folder))
    paths = (path for pattern in _SCRIPTS for place in places for path in sorted(place.glob(pattern)))
    for count, path in enumerate(dict.fromkeys(path for path in paths if path.is_file())):
        if count < _MOST_SCRIPTS:
            yield path


def image_name(folder: Path, root: Path, files: Sequence[Path]) -> Found:
    """Name the image: as a script or a comment says, else as the folder."""
    for file in files:
        found = reading.first(_IMAGE, reading.text_or_none(file) or "")
        if found and (name := local_name(found[0])):
            return Found(name, Folder(folder).name(file, found[1]))
    place = root if root.name != "container" else root.parent
    return Found(image_ref.slug(place.resolve().name), "the folder's name")


def local_name(text: str) -> str:
    """Leave out the registry of a name; "" for what is none."""
    try:
        reference = image_ref.parse(text)
    except UsageError:
        return ""
    return reference.path + (f":{reference.tag}" if reference.tag and reference.tag != "latest" else "")


def _platform(named: Folder, files: Sequence[Path]) -> Found | None:
    for file in files:
        if found := reading.first(_PLATFORM, reading.text_or_none(file) or ""):
            return Found(found[0], named.name(file, found[1]))
    return None


def metrics(folder: Path, root: Path) -> dict[str, Found]:
    """Find metric_definitions as the SDK is given them, in scripts and notebooks beside the project."""
    metrics: dict[str, Found] = {}
    files = [
        path for place in dict.fromkeys((folder, root)) for kind in ("*.py", "*.ipynb") for path in place.glob(kind)
    ]
    for file in sorted(dict.fromkeys(files))[:_MOST_SCRIPTS]:
        content = reading.text_or_none(file) or ""
        in_notebook = file.suffix == ".ipynb"
        for number, line in reading.lines(content):
            for name, _, pattern in _METRIC.findall(line.replace('\\"', '"') if in_notebook else line):
                regex = pattern.replace("\\\\", "\\")
                if _is_metric(regex):
                    metrics.setdefault(name, Found(regex, Folder(folder).name(file, number)))
    return metrics


def _is_metric(regex: str) -> bool:
    try:
        return re.compile(regex).groups > 0
    except re.error:
        return False


def _needed(parsed: dockerfile.Dockerfile) -> list[str]:
    """Name the ARGs without a default that a FROM needs."""
    froms = "\n".join(stage.instructions[0].rest for stage in parsed.stages)
    plain = [name for name in parsed.arguments if re.search(rf"\$(?:{name}\b|\{{{name}\}})", froms)]
    return [name for name in plain if parsed.arguments[name] is None]


def _unset(parsed: dockerfile.Dockerfile) -> list[Aside]:
    return [Aside("build.args", f'{name} = "…"', "FROM needs it") for name in _needed(parsed)]


def _no_value(named: Folder, file: Path, parsed: dockerfile.Dockerfile) -> Iterator[Missing]:
    for name in _needed(parsed):
        line = next(each.line for each in parsed.head if each.word == "ARG" and name in each.rest)
        yield Missing(
            f"ARG {name} has no default, and FROM needs it",
            f'[build.args]\n{name} = "…"    in byoc.toml, or ARG {name}=… in the Dockerfile',
            named.name(file, line),
            blocks=True,
        )


SOURCE = Source("dockerfile", "a Dockerfile", recognise, read)
