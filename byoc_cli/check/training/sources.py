"""Which hyperparameters the source of `train` speaks of, with a number as their default."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from byoc_cli.check.bench import Bench
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.static.files import ImageFiles
from byoc_cli.check.static.programs import without_comments
from byoc_cli.contract import paths as contract_paths

_MOST_FILES = 20
_FEW_FILES = 100  # more are somebody else's
_DEEPEST = 3
_PLACE = re.compile(r"""(?:\bcd\s+|\bsys\.path\.\w+\([^)\n]*?|PYTHONPATH=)["']?(/[\w./-]+)""")
_SYSTEM = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_WITH_DEFAULT = re.compile(
    r"""(\w+)\.(?:get|pop|setdefault)\(\s*["']([A-Za-z][\w.-]*)["']\s*,\s*["']?(-?\d+(?:\.\d+)?)["']?\s*\)"""
)
_LOOKED_FOR = re.compile(r"""["']([A-Za-z][\w.-]*)["']\s+in\s+(\w*(?:[Pp]aram|hp|HP)\w*)""")
_NEEDED = re.compile(r"""(?:\w*(?:[Pp]aram|hp|HP)\w*)(?:\[|\.get\()\s*["']([A-Za-z][\w.-]*)["']\s*[\])]""")
_OWNER = re.compile(  # what the file was read into
    r"""^[ \t]*(\w+)[ \t]*=(?!=).*\bhyperparameters\b|\bhyperparameters\b.*\bas[ \t]+\w+:\s*\n\s*(\w+)[ \t]*=""",
    re.MULTILINE,
)
_ARGUMENT = re.compile(
    r"""add_argument\(\s*["']--([A-Za-z][\w-]*)["'][^()]*?\bdefault\s*=\s*["']?(-?\d+(?:\.\d+)?(?:e-?\d+)?)["']?\s*[,)]"""
)
_BY_FUNCTION = re.compile(
    r"""\b\w*(?:hp|[Pp]aram)\w*\(\s*["']([A-Za-z][\w.-]*)["']\s*,\s*["']?(-?\d+(?:\.\d+)?)["']?\s*\)"""
)
# Defaults that what was read is laid over: {"epochs": 10}, and `epochs: int = 10` of a dataclass.
_DICT = re.compile(r"(\w+)\s*(?::[^=\n]+)?=\s*\{([^{}]*)\}")
_IN_DICT = re.compile(r"""["']([A-Za-z][\w.-]*)["']\s*:\s*(-?\d+(?:\.\d+)?)\s*[,}]""")
_IN_CLASS = re.compile(r"^[ \t]+(\w+)\s*:\s*(?:int|float)\s*=\s*(-?\d+(?:\.\d+)?)\s*$", re.MULTILINE)
_FILE = re.compile(r"^[ \t]*(\w+)[ \t]*=(?!=).*\bhyperparameters\.json\b", re.MULTILINE)
_OTHERS = re.compile(r"environ|header|request|args", re.IGNORECASE)
_LENGTH = re.compile(r"epoch|step|iter|round", re.IGNORECASE)
_LONG = "10000000"


def hyperparameters(texts: Sequence[str], image: ImageFacts) -> dict[str, str]:
    """Find their names and defaults in the texts of `train`."""
    found: dict[str, str] = {}
    for text in texts:
        found = {**named(text, arguments=bool(image.toolkit)), **found}
    return found


def named(source: str, *, arguments: bool = False) -> dict[str, str]:
    """Find the hyperparameters that a source names, with the number that is their default, else 1.

    `arguments` says that they come as words of the command line, as the toolkit hands them on.
    """
    plain = without_comments(source)
    for name in _FILE.findall(plain):  # a constant with the file's name, or what it was read into
        plain = re.sub(rf"\b{name}\b", "hyperparameters", plain)
    found: dict[str, str] = {}
    for owner, name, default in _WITH_DEFAULT.findall(plain):
        if not _OTHERS.search(owner):
            found.setdefault(name, default)
    more = _BY_FUNCTION.findall(plain)
    more += _ARGUMENT.findall(plain) if arguments else []
    if "hyperparameters" in plain:
        more += _defaults(plain)
    for name, default in more:
        found.setdefault(name, default)
    for owner in dict.fromkeys(name for names in _OWNER.findall(plain) for name in names if name):
        for name in re.findall(rf"""\b{owner}(?:\[|\.get\()\s*["']([A-Za-z][\w.-]*)["']\s*[\])]""", plain):
            found.setdefault(name, "1")
    for name in [*(name for name, _ in _LOOKED_FOR.findall(plain)), *_NEEDED.findall(plain)]:
        found.setdefault(name, "1")
    return found


def _defaults(plain: str) -> list[tuple[str, str]]:
    """Find what the hyperparameters are laid over: a dictionary, the fields of a dataclass."""
    found: list[tuple[str, str]] = []
    for name, body in _DICT.findall(plain):
        if "**" in body or re.search(rf"\*\*{name}\b|\bdict\({name}\b|\b{name}\.(?:copy|update)\(", plain):
            found += _IN_DICT.findall(body + ",")
    return found + (_IN_CLASS.findall(plain) if "dataclass" in plain and "(**" in plain else [])


def longer(given: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """Give hyperparameters that make a training long; {} where none is known that does."""
    known = {**named, **given}
    lengths = {name: _LONG for name, value in known.items() if _LENGTH.search(name) and value.isdigit()}
    return {**given, **lengths} if lengths else {}


def own(image: ImageFacts) -> dict[str, str]:
    """Give the texts of what is started, by their paths."""
    start = image.train
    return {each.path: each.text for each in (start.on_path, start.program, start.script) if each and each.text}


def texts(bench: Bench, image: ImageFacts) -> Iterator[str]:
    """Read what is started, and the Python files beside it and below."""
    started = own(image)
    yield from started.values()
    if folders := [*_folders(started), *_of_toolkit(image)]:
        with bench.container("sources", network="none") as container:
            files = ImageFiles(container, bench.check)
            paths = dict.fromkeys(path for folder in folders for path in _scripts(files, folder) if path not in started)
            for path in sorted(paths, key=lambda path: path.count("/"))[:_MOST_FILES]:
                yield files.head(path).decode(errors="replace")


def _scripts(files: ImageFiles, folder: str) -> list[str]:
    """Name the Python files of a folder; those of packages in it, too, where they are few."""
    names = [name for name in files.listing(folder) if name.endswith(".py")]
    few = len(names) <= _FEW_FILES
    return [f"{folder}/{name}" for name in names if "/" not in name or (few and name.count("/") <= _DEEPEST)]


def _of_toolkit(image: ImageFacts) -> Sequence[str]:
    """Where SageMaker's toolkit has the user's script."""
    folder = image.image.config.environment.get("SAGEMAKER_SUBMIT_DIRECTORY", f"{contract_paths.ROOT}/code")
    return [folder] if image.toolkit and folder.startswith("/") else []


def _folders(started: Mapping[str, str]) -> Sequence[str]:
    """Where its own files are: those that it names, and those beside it."""
    folders = [posixpath.dirname(path) for path in started]
    folders += [posixpath.dirname(path) for text in started.values() for path in re.findall(r"/[\w./-]+\.py\b", text)]
    folders += [path.rstrip("/") for text in started.values() for path in _PLACE.findall(text)]
    return [folder for folder in dict.fromkeys(folders) if folder not in {*_SYSTEM, "", "/"}]
