"""The options of a channel: their words, what goes with what, and the texts made of them. Pure.

The keys are those of `--channel NAME=PATH,key=value` and of [train.channels] in byoc.toml.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from byoc_cli.contract import paths
from byoc_cli.contract.training import ChannelConfig

S3 = "s3://"
# What stands for the bucket of data that is in none. AWS gives nobody a bucket whose name begins with `amzn-s3-demo-`:
# it has the right shape and can be mistaken for no one's.
LOCAL_BUCKET = "amzn-s3-demo-local"

WORDS: Mapping[str, Sequence[str]] = {
    "mode": ("File", "FastFile", "Pipe"),
    "distribution": ("FullyReplicated", "ShardedByS3Key"),
    "record-wrapper": ("None", "RecordIO"),
    "compression": ("None", "Gzip"),
}
"""The keys that take a word, and the words, exactly as the API spells them; the first is the default."""

KEYS = (*WORDS, "content-type", "shuffle-seed", "manifest")


def word_problem(key: str, word: str) -> tuple[str, str]:
    """Why `word` is not one of `key`'s, and what to write instead: (why, hint), or ("", "")."""
    words = WORDS[key]
    if word in words:
        return "", ""
    same = [known for known in words if known.lower() == word.lower()]
    near = same or difflib.get_close_matches(word, words, 1, 0.5)
    return f"'{word}' is none of {', '.join(words)}", f"did you mean '{near[0]}'?" if near else f"{key}={words[0]}"


def problems(
    name: str, config: ChannelConfig, *, compression: str = "None", shuffled: bool = False, manifest: bool = False
) -> list[str]:
    """What does not go with a channel's input mode (T-59, T-65 to T-67)."""
    mode = config.input_mode
    only_in_pipe = [
        (config.record_wrapper != "None", f"record-wrapper={config.record_wrapper}", "T-65"),
        (compression != "None", f"compression={compression}", "T-66"),
        (shuffled, "shuffle-seed", "T-67"),
    ]
    found = [
        f"channel '{name}': {option} is for mode=Pipe, not for mode={mode} ({rule})"
        for given, option, rule in only_in_pipe
        if given and mode != "Pipe"
    ]
    if manifest and mode == "FastFile":
        found.append(f"channel '{name}': mode=FastFile takes no manifest (T-59)")
    return found


def script_problems(command: Iterable[str], channels: Mapping[str, ChannelConfig]) -> list[str]:
    """What the cloud would refuse of an entrypoint whose script is in a channel (T-10)."""
    found = []
    for word in command:
        name = word.removeprefix(f"{paths.DATA}/").partition("/")[0] if word.startswith(f"{paths.DATA}/") else ""
        config = channels.get(name)
        if config and (config.input_mode, config.distribution) != ("File", "FullyReplicated"):
            found.append(
                f"channel '{name}' holds the script {word}: it needs mode=File and distribution=FullyReplicated (T-10)"
            )
    return found


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Take `s3://bucket/key` apart; the key may be ""."""
    bucket, _, key = uri.removeprefix(S3).partition("/")
    return bucket, key


def local_uri(name: str) -> str:
    """Where data of this machine looks as if it lay."""
    return f"{S3}{LOCAL_BUCKET}/{name}"


def manifest_lines(name: str, uri: str, root: str, keys: Iterable[str]) -> str:
    """Make the text of `NAME-manifest`: the key prefix without bucket, then a URI for every object (T-22).

    `uri` is what the channel was given, `root` the URI that `keys` are relative to; both "" for data of this machine,
    which looks as if it lay in `s3://amzn-s3-demo-local/NAME/`.
    """
    uri = uri or local_uri(name)
    root = root or f"{uri}/"
    return "".join(f"{line}\n" for line in (bucket_and_key(uri)[1], *(root + key for key in keys)))
