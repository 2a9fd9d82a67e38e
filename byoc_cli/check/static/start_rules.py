"""Whether `docker run IMAGE train` and `docker run IMAGE serve` come to a program, read from the image."""

from __future__ import annotations

from byoc_cli.check.model import Verdict, failed, passed, skipped
from byoc_cli.check.static import STATIC
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.static.programs import Start
from byoc_cli.contract import cloud_words


@STATIC.rule(
    "T-01",
    "`train` is on the image's PATH, or ENTRYPOINT takes it",
    "put an executable `train` into a folder of PATH: COPY --chmod=755 train /usr/local/bin/train",
    also=("I-07",),
)
def train_is_there(image: ImageFacts) -> Verdict:
    """No ENTRYPOINT: PATH; else what the entrypoint makes of the word."""
    return _is_there(image.train, image.serve)


@STATIC.rule(
    "H-01",
    "`serve` is on the image's PATH, or ENTRYPOINT takes it",
    "put an executable `serve` into a folder of PATH: COPY --chmod=755 serve /usr/local/bin/serve",
    also=("H-09", "I-07"),
)
def serve_is_there(image: ImageFacts) -> Verdict:
    """As for `train`."""
    return _is_there(image.serve, image.train)


def _is_there(start: Start, other: Start) -> Verdict:
    word = start.word
    if start.shell_form:
        return skipped(f"ENTRYPOINT in shell form is not given the word `{word}` (T-06)")
    if not start.by_entrypoint:
        return passed(f"{word} is {start.on_path.path}") if start.on_path.path else _missing(start)
    if nowhere := [each.word for each in (start.program, start.script) if each and not each.path]:
        return failed(
            f"ENTRYPOINT names {nowhere[0]}, which is not in the image",
            f"COPY {nowhere[0].rpartition('/')[2]} {nowhere[0]}, or correct ENTRYPOINT",
            cloud_words.cannot_start([word], cloud_words.NO_SUCH_FILE.format(word=nowhere[0]), 127),
        )
    return _taken_by_entrypoint(start, other)


def _taken_by_entrypoint(start: Start, other: Start) -> Verdict:
    word, entrypoint = start.word, " ".join(start.argv[:-1])
    if start.speaks_of(word):
        return passed(f"ENTRYPOINT {entrypoint} knows the word `{word}`")
    if start.executes_its_arguments and start.on_path.path:
        return passed(f"ENTRYPOINT {entrypoint} executes it: {word} is {start.on_path.path}")
    if start.knows_only(other.word) and not start.has_another_way:
        return skipped(f"ENTRYPOINT {entrypoint} knows the word `{other.word}` only: the image does not {word}")
    if start.executes_its_arguments and not start.changes_path and not start.speaks_of(other.word):
        return _missing(start, f"ENTRYPOINT {entrypoint} executes it, and ")
    return skipped(f"what ENTRYPOINT {entrypoint} does with the word `{word}` is not to be seen without starting it")


def no_use(image: ImageFacts, start: Start) -> str:
    """Why it cannot be started with a word, `start` being what becomes of it; "" where it can be tried."""
    id_, there, other = {
        "train": ("T-01", train_is_there, image.serve),
        "serve": ("H-01", serve_is_there, image.train),
    }[start.word]
    result = there(image).result
    if result == "fail":
        return f"`{start.word}` cannot be started ({id_})"
    if result == "skip" and start.knows_only(other.word) and not start.has_another_way:
        return f"the image does not {start.word}"
    return ""


def _missing(start: Start, before: str = "") -> Verdict:
    word = start.word
    cloud = cloud_words.cannot_start([word], cloud_words.NOT_FOUND.format(word=word), 127)
    if start.elsewhere:
        folder = start.elsewhere.rpartition("/")[0] or "/"
        return failed(
            f"{before}{start.elsewhere} is there, but {folder} is not on the image's PATH",
            f"ENV PATH={folder}:$PATH",
            cloud,
        )
    other = {"train": "serve", "serve": "train"}[word]
    return failed(
        f"{before}`{word}` is in no folder of the image's PATH",
        f"COPY --chmod=755 {word} /usr/local/bin/{word} (an image that only {other}s: byoc check --only {other})",
        cloud,
    )
