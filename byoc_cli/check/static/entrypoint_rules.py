"""Who is PID 1, and is sent SIGTERM."""

from __future__ import annotations

from collections.abc import Sequence

from byoc_cli.check.model import Verdict, failed, passed, warned
from byoc_cli.check.static import STATIC
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.contract import cloud_words

_EXEC_FORM = 'ENTRYPOINT ["{words}"]'


@STATIC.rule(
    "T-06",
    "ENTRYPOINT is in exec form: the program is PID 1 and sees SIGTERM",
    'write ENTRYPOINT as a JSON list: ENTRYPOINT ["/path/to/program"]',
    also=("H-02",),
)
def exec_form(image: ImageFacts) -> Verdict:
    """`/bin/sh -c …` is the shell form."""
    entrypoint = image.image.config.entrypoint
    if not entrypoint:
        return passed("there is no ENTRYPOINT")
    command = image.train.shell_form
    if not command:
        return passed(f"ENTRYPOINT {_list(entrypoint)}")
    if command.lstrip().startswith("exec "):
        return warned(
            f"ENTRYPOINT {_list(entrypoint)}: the program becomes PID 1, but is not given `train` or `serve`",
            _EXEC_FORM.format(words='", "'.join(command.split()[1:])),
        )
    return failed(
        f"ENTRYPOINT is in shell form, {_list(entrypoint)}: PID 1 is a shell, which hands on no SIGTERM",
        _EXEC_FORM.format(words='", "'.join(command.split())),
        cloud_words.killed_while_stopping(),
    )


@STATIC.rule(
    "T-07",
    "tini is not the entrypoint: it would take `train` for its program",
    "leave tini out, or let it start a program of yours",
    also=("H-02",),
)
def no_tini(image: ImageFacts) -> Verdict:
    """With a program behind it tini does no harm."""
    start = image.train
    if not start.init:
        return passed("no tini stands before the program")
    if start.by_entrypoint:
        return passed(f"{start.init} starts {start.program.word}")
    return warned(
        f"ENTRYPOINT {_list(image.image.config.entrypoint)} takes the word `train` for its program",
        f'remove ENTRYPOINT, or let it start yours: ENTRYPOINT ["{start.init}", "--", "/path/to/program"]',
        "[FATAL tini (7)] exec train failed: No such file or directory",
    )


def _list(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
