"""What would be executed, and whether it can be: PATH, shebangs and ELF headers, as the kernel and runc read them."""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from byoc_cli.check.static.files import Files
from byoc_cli.engine.types import DEFAULT_PATH

SHELLS = ("sh", "bash", "dash", "ash", "ksh", "zsh")
INITS = ("tini", "tini-static", "docker-init")
_WRAPPERS = (*INITS, "dumb-init", "catatonit")
_INTERPRETERS = re.compile(r"(?:python|pypy|perl|ruby|node|Rscript|bash|sh|dash|ash|ksh|zsh)[\d.]*")
_GIVES_CODE = re.compile(r"-[a-z]*c[a-z]*")  # of a shell: -c, -lc, -ec
_CHANGES_PATH = re.compile(r"\bPATH=|\bactivate\b|\bconda\b|\bmodule load\b|^\s*(?:source|\.)\s", re.MULTILINE)
_SPLITS = re.compile(r"\s*-(?:\w*S|-split-string)")  # of env; what else begins with - is no program's name
_FORMS = {"train": r"(?<![a-z])train", "serve": r"(?<![a-z])serv(?:e(?!r)|ing)"}
_SERVES = re.compile(r"(?i)/ping|invocations|8080|listen|server|uvicorn|gunicorn|flask|fastapi")
_OTHERWISE = re.compile(r"\belse\b|^\s*\*\)|\bdefault\s*:", re.MULTILINE)
_USES_ARGUMENTS = re.compile(r"\$\{?[@*0-9]")
_WITH_VALUE = ("-p", "-e", "-r", "-W", "-X")  # options of inits and of Python that have a word of their own
_MACHINES = {0x03: "386", 0x3E: "amd64", 0xB7: "arm64", 0x28: "arm", 0xF3: "riscv64", 0x15: "ppc64le", 0x16: "s390x"}


@dataclass(frozen=True)
class Program:
    """A file that is to be executed. `word` is what it is called by, `path` where it is ("" nowhere).

    `shebang` is its first line after `#!`, to the letter; `interpreter` the program that it names; `machine` and
    `loader` are those of an ELF file; `text` how a script begins.
    """

    word: str
    path: str = ""
    executable: bool = True
    empty: bool = False
    text: str = ""
    shebang: str | None = None
    interpreter: Program | None = None
    machine: str = ""
    loader: str = ""
    loader_is_there: bool = True

    @property
    def is_elf(self) -> bool:
        """Whether it is a binary."""
        return bool(self.machine)


@dataclass(frozen=True)
class Start:
    """How a container is started with `train` or `serve`.

    `argv` is all that is executed. `program` is its first word, tini and its like left out; `script` is what an
    interpreter is given; `shell_form` is ENTRYPOINT as a shell's command; `init` the tini that stands before all.
    `on_path` is the word itself, looked up on PATH; `elsewhere` where it is found in a folder that is not on PATH.
    """

    word: str
    argv: Sequence[str]
    program: Program
    script: Program | None = None
    shell_form: str = ""
    init: str = ""
    on_path: Program = field(default_factory=lambda: Program(""))
    elsewhere: str = ""
    by_entrypoint: bool = False

    @property
    def text(self) -> str:
        """What the program's or the script's source says."""
        return self.script.text if self.script else self.program.text

    def speaks_of(self, word: str) -> bool:
        """Whether ENTRYPOINT's source has that word; not as a part of a file's name (train.py)."""
        return bool(re.search(rf"(?<![\w./-]){word}(?![\w/-]|\.\w)", without_comments(self.text)))

    def mentions(self, word: str) -> bool:
        """Whether ENTRYPOINT's source has the word in any form (train.py, serving)."""
        return bool(re.search(_FORMS[word], without_comments(self.text), re.IGNORECASE))

    def knows_only(self, other: str) -> bool:
        """Whether ENTRYPOINT's source knows the other word, and nothing in it tells of its own (train.py)."""
        return self.speaks_of(other) and not self.mentions(self.word)

    @property
    def has_another_way(self) -> bool:
        """Whether ENTRYPOINT's source does something of its own with a word that it does not name: `else`, `*)`."""
        text = without_comments(self.text)
        serves = self.word == "serve" and _SERVES.search(text)
        return bool(serves or _OTHERWISE.search(text)) and not self.executes_its_arguments

    @property
    def may_train(self) -> bool:
        """Whether something tells that it trains: `train` itself, or a word of ENTRYPOINT's source."""
        return not self.by_entrypoint or bool(self.on_path.path) or not self.text or self.mentions("train")

    @property
    def changes_path(self) -> bool:
        """Whether ENTRYPOINT's script may put other folders on PATH: an environment of conda's, a virtual one."""
        return bool(_CHANGES_PATH.search(without_comments(self.text)))

    @property
    def executes_its_arguments(self) -> bool:
        """Whether ENTRYPOINT's script runs what it is given, `exec "$@"`, and has not made something else of it."""
        if re.search(r"^\s*set\s+--\s", self.text, re.MULTILINE):
            return False
        command = r'(?:exec\s+|eval\s+|command\s+)*(?:\S+\s+-[a-z]*\s+--\s+)?"?(?:\$@|\$\*|\$\{@\})"?'
        return bool(re.search(rf"(?:^|[;&|]|\b(?:then|else|do)\b)\s*{command}\s*(?:$|[;&|#])", self.text, re.MULTILINE))


def without_comments(text: str) -> str:
    """Leave out what stands behind a # (in a string, too, which does no harm here)."""
    return "\n".join(line.partition("#")[0] for line in text.splitlines())


class Programs:
    """Looks programs up in an image."""

    def __init__(
        self, files: Files, environment: Mapping[str, str], working_folder: str, entrypoint: Sequence[str]
    ) -> None:
        self._files = files
        self._folders = [folder or "." for folder in environment.get("PATH", DEFAULT_PATH).split(":")]
        self._working_folder = working_folder or "/"
        self._entrypoint = entrypoint

    def where(self, word: str) -> str:
        """Find a program as runc does: with a slash it is a path, else the first executable one on PATH; "" nowhere.

        Of files that are there, but cannot be executed, the first is given, as something to show.
        """
        if "/" in word:
            path = self._absolute(word)
            return path if self._is_file(path) else ""
        paths = [self._absolute(f"{folder}/{word}") for folder in self._folders]
        return next(filter(self._is_executable, paths), "") or next(filter(self._is_file, paths), "")

    def find(self, word: str) -> Program:
        """Find a program, and look into it."""
        path = self.where(word) if word else ""
        return self._look(word, path) if path else Program(word)

    def start(self, word: str, places: Sequence[str]) -> Start:
        """Tell how the container is started with a word; `places` are folders where it may lie outside of PATH."""
        on_path = self.find(word)
        hidden = (f"{folder.rstrip('/')}/{word}" for folder in (*places, self._working_folder))
        elsewhere = "" if on_path.path else next((path for path in hidden if self._is_file(path)), "")
        if not self._entrypoint:
            return Start(word, [word], on_path, on_path=on_path, elsewhere=elsewhere)
        argv = [*self._entrypoint, word]
        words, init = _without_wrappers(argv)
        if not self.where(argv[0]):
            words = argv
        program = self.find(words[0])
        shell_form = _shell_command(words)
        script = None if shell_form or words == [word] else self._script(words, word)
        return Start(word, argv, program, script, shell_form, init, on_path, elsewhere, words != [word])

    def _script(self, words: Sequence[str], argument: str) -> Program | None:
        """The file that an interpreter is given, where the words say so plainly."""
        if not _INTERPRETERS.fullmatch(posixpath.basename(words[0])):
            return None
        rest = list(words[1:])
        shell = posixpath.basename(words[0]) in SHELLS
        while rest and rest[0].startswith("-"):
            option = rest.pop(0)
            # Code or a module: no file.
            if _GIVES_CODE.fullmatch(option) if shell else option in {"-c", "-m", "-e"}:
                return None
            if option in _WITH_VALUE and not shell and rest:
                rest.pop(0)
        if not rest or rest[0] == argument:
            return None
        path = self._absolute(rest[0])
        if shell and "/" not in rest[0] and not self._is_file(path):  # a shell looks on PATH, too
            return self.find(rest[0])
        return self._look(rest[0], path) if self._is_file(path) else Program(rest[0])

    def _absolute(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self._working_folder, path))

    def _is_file(self, path: str) -> bool:
        found = self._files.real(path)
        return found is not None and not found[1].is_folder

    def _is_executable(self, path: str) -> bool:
        found = self._files.real(path)
        return found is not None and found[1].executable

    def _look(self, word: str, path: str, depth: int = 0) -> Program:
        found = self._files.real(path)
        if found is None or found[1].is_folder:
            return Program(word)
        stat = found[1]
        head = self._files.head(path)
        if head.startswith(b"\x7fELF"):
            machine, loader = _elf(head)
            there = not loader or self._files.is_there(loader)
            return Program(word, path, stat.executable, machine=machine, loader=loader, loader_is_there=there)
        text = head.decode(errors="replace")
        shebang = text[2:].partition("\n")[0] if text.startswith("#!") else None
        return Program(
            word,
            path,
            stat.executable,
            empty=stat.size == 0,
            text=text,
            shebang=shebang,
            interpreter=self._interpreter(shebang, depth) if shebang and depth < 4 else None,
        )

    def _interpreter(self, shebang: str, depth: int) -> Program:
        """The program that a shebang comes to; `env NAME` is looked through."""
        words = shebang.strip().split()
        if not words:
            return Program("")
        if posixpath.basename(words[0]) == "env" and self._is_file(words[0]):
            _, _, whole = shebang.strip().partition(words[0])
            if len(words) > 2 and not _SPLITS.match(whole):  # the kernel hands it on as one word
                return self.find(whole.strip())
            names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            return self.find(names[0]) if names else self._look(words[0], words[0], depth + 1)
        return self._look(words[0], words[0], depth + 1)


def _without_wrappers(argv: Sequence[str]) -> tuple[list[str], str]:
    """Leave out tini and its like, which execute what follows; gives (the rest, tini if it was there)."""
    words, init = list(argv), ""
    while len(words) > 1 and posixpath.basename(words[0]) in _WRAPPERS:
        name = posixpath.basename(words[0])
        init = words[0] if name in INITS else init
        words.pop(0)
        while words and words[0].startswith("-"):
            option = words.pop(0)
            if option == "--":
                break
            if option in _WITH_VALUE:
                words.pop(0)
    return words or list(argv), init


def _shell_command(words: Sequence[str]) -> str:
    """The command of ENTRYPOINT in shell form, or of a shell with -c, which is the same."""
    if posixpath.basename(words[0]) not in SHELLS:
        return ""
    for index, word in enumerate(words[1:-1], 1):
        if not word.startswith("-") and words[index - 1] not in {"-o", "-O"}:
            return ""
        if _GIVES_CODE.fullmatch(word):
            command = words[index + 1]
            return "" if _USES_ARGUMENTS.search(command) else command
    return ""


def _elf(head: bytes) -> tuple[str, str]:
    """(machine in Docker's words, dynamic loader or "") of an ELF file."""
    wide, order = head[4:5] == b"\x02", ">" if head[5:6] == b"\x02" else "<"
    try:
        machine = int(struct.unpack_from(f"{order}H", head, 18)[0])
        name = _MACHINES.get(machine, f"machine {machine}")
        offset = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)[0]
        size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
        for index in range(count):
            at = offset + index * size
            if struct.unpack_from(f"{order}I", head, at)[0] != 3:  # PT_INTERP
                continue
            word, at_place, at_length = ("Q", 8, 32) if wide else ("I", 4, 16)
            place = struct.unpack_from(order + word, head, at + at_place)[0]
            length = struct.unpack_from(order + word, head, at + at_length)[0]
            return name, head[place : place + length].rstrip(b"\0").decode(errors="replace")
    except struct.error:
        return "a broken ELF file", ""
    return name, ""
