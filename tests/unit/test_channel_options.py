"""--channel NAME=PATH,key=value,…: what is read from the right end, and what is left as the PATH."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from byoc_cli.contract.channels import KEYS, WORDS
from byoc_cli.errors import UsageError
from byoc_cli.local.channels.options import ChannelOption, exists, merged, parse
from byoc_cli.project import ChannelSettings


def nothing(path: str) -> bool:
    return False


def everything(path: str) -> bool:
    return True


def wrong(text: str, *there: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(text, lambda path: path in there)
    assert caught.value.message.startswith(f"--channel {text}: ")
    return caught.value


def test_all_options() -> None:
    text = (
        "training=data,mode=Pipe,content-type=text/csv,distribution=ShardedByS3Key,record-wrapper=RecordIO,"
        "compression=Gzip,shuffle-seed=-7,manifest=train.manifest"
    )
    option = parse(text, nothing)
    assert (option.name, option.path) == ("training", "data")
    assert option.over(None) == ChannelSettings(
        "data", "text/csv", "Pipe", "ShardedByS3Key", "RecordIO", "Gzip", -7, "train.manifest"
    )


@pytest.mark.parametrize(
    ("text", "path", "given"),
    [
        ("x=data", "data", {}),
        ("x=a,b=c", "a,b=c", {}),
        ("x=a,b=c,mode=Pipe", "a,b=c", {"mode": "Pipe"}),
        ("x=my folder, with = signs", "my folder, with = signs", {}),
        ("x=a=b", "a=b", {}),
        ("x=mode=Pipe", "mode=Pipe", {}),  # what comes first is the PATH
        ("x=d,content-type=text/csv; charset=utf-8", "d", {"content_type": "text/csv; charset=utf-8"}),
        (
            "x=d,content-type=text/csv;label_size=0,mode=File",
            "d",
            {"content_type": "text/csv;label_size=0", "mode": "File"},
        ),
        ("x=d,content-type=", "d", {"content_type": ""}),
        ("x=s3://b/p,q/r,mode=FastFile", "s3://b/p,q/r", {"mode": "FastFile"}),
        ("x=s3://b/year=2024,month=1/", "s3://b/year=2024,month=1/", {}),
        ("x=d,mode=Pipe,rest", "d,mode=Pipe,rest", {}),  # an option only at the right end
        ("x=d,", "d,", {}),
        ("x=d,,mode=Pipe", "d,", {"mode": "Pipe"}),
        ("x=,mode=Pipe", "", {"mode": "Pipe"}),
        ("x=d,manifest=a=b.json", "d", {"manifest": "a=b.json"}),
    ],
)
def test_where_the_path_ends(text: str, path: str, given: dict[str, str]) -> None:
    assert parse(text, nothing) == ChannelOption(text, "x", path, given)


def test_any_path_with_any_options_comes_back() -> None:
    """Whatever the PATH, as long as it does not itself end in an option: nothing of it is lost."""
    dice = random.Random(4)
    pieces = ["a", ",", "=", "/", " ", "mode", "Pipe", "ü", "s3://", "b=c", ",x", "content-type", ";", "\n", "None"]
    values = {**{key: list(words) for key, words in WORDS.items()}, "content-type": ["", "text/csv;a=b"]}
    values |= {"shuffle-seed": ["0", "-3"], "manifest": ["m.json", "a b=c"]}
    assert set(values) == set(KEYS)
    for _ in range(3000):
        path = "".join(dice.choices(pieces, k=dice.randint(1, 8)))
        keys = dice.sample(KEYS, dice.randint(0, len(KEYS)))
        options = {key: dice.choice(values[key]) for key in keys}
        _, *segments = path.split(",")
        if segments and any(segments[-1].startswith(f"{key}=") for key in KEYS):
            continue
        text = f"n={path}" + "".join(f",{key}={value}" for key, value in options.items())
        option = parse(text, everything)
        assert option.path == path, text
        assert {key: str(value) for key, value in option.given.items()} == {
            key.replace("-", "_"): value for key, value in options.items()
        }, text


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("x", "there is no '='", "--channel NAME=PATH"),
        ("=x", "there is no name", "--channel NAME=PATH"),
        ("x,mode=Pipe", "options come after NAME=PATH", "--channel x=,mode=Pipe"),
        ("x=d,mode=pipe", "'pipe' is none of File, FastFile, Pipe", "did you mean 'Pipe'?"),
        ("x=d,mode=Fastfil", "mode is wrong", "did you mean 'FastFile'?"),
        ("x=d,mode=stream", "mode is wrong", "mode=File"),
        ("x=d,mode=", "'' is none of", "mode=File"),
        ("x=d,distribution=Sharded", "distribution is wrong", "did you mean 'ShardedByS3Key'?"),
        ("x=d,record-wrapper=recordio", "record-wrapper is wrong", "did you mean 'RecordIO'?"),
        ("x=d,compression=gzip", "compression is wrong", "did you mean 'Gzip'?"),
        ("x=d,shuffle-seed=one", "'one' is not a whole number", "shuffle-seed=1"),
        ("x=d,shuffle-seed=1.0", "'1.0' is not a whole number", "shuffle-seed=1"),
        ("x=d,manifest=", "it names no file", "manifest=FILE"),
        ("x=d,mode=Pipe,mode=File", "mode is given twice", "leave one mode= out"),
    ],
)
def test_what_is_wrong(text: str, said: str, hint: str) -> None:
    error = wrong(text)
    assert said in error.message
    assert error.hint == hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x=d,mod=Pipe", "did you mean mode=Pipe?"),
        ("x=d,Mode=Pipe", "did you mean mode=Pipe?"),
        ("x=d,content_type=text/csv", "did you mean content-type=text/csv?"),
        ("x=d,shuffle_seed=1,mode=Pipe", "did you mean shuffle-seed=1?"),
        ("x=d,mode=Pipe,recordwrapper=RecordIO", "did you mean record-wrapper=RecordIO?"),
        ("x=s3://b/p,mod=Pipe", "did you mean mode=Pipe?"),
        ("x=d,Pipe", "did you mean mode=Pipe?"),
        ("x=d,fastfile", "did you mean mode=FastFile?"),
        ("x=d,Gzip", "did you mean compression=Gzip?"),
    ],
)
def test_a_slip_is_named_where_no_such_path_is_there(text: str, hint: str) -> None:
    assert wrong(text).hint == hint
    slip = text.removeprefix("x=").removesuffix(",mode=Pipe")
    assert parse(f"x={slip}", lambda path: path == slip).path == slip  # a path that is there is a path


def test_an_unknown_key_after_a_path_that_is_there() -> None:
    error = wrong("x=d,format=csv", "d")
    assert "there is no option 'format'" in error.message
    assert error.hint == f"options: {', '.join(KEYS)}"
    assert parse("x=d,format=csv", nothing).path == "d,format=csv"  # who takes the PATH says that it is not there


def test_what_is_there_is_asked_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no option 'mod'"):
        parse("x=d,mod=Pipe")
    (tmp_path / "d,mod=Pipe").mkdir()
    assert parse("x=d,mod=Pipe").path == "d,mod=Pipe"
    assert exists("~")


# -- over the project file --------------------------------------------------------------------------------------------

SETTINGS = ChannelSettings("data", "text/csv", "Pipe", shuffle_seed=3, manifest="m.json")


def test_another_path_keeps_the_other_settings() -> None:
    assert parse("x=other", everything).over(SETTINGS) == ChannelSettings(
        "other", "text/csv", "Pipe", shuffle_seed=3, manifest="m.json"
    )


def test_no_path_keeps_the_project_s() -> None:
    assert parse("x=,mode=File,content-type=").over(SETTINGS) == ChannelSettings(
        "data", "", "File", shuffle_seed=3, manifest="m.json"
    )


@pytest.mark.parametrize("text", ["x=", "x=,mode=Pipe"])
def test_no_path_anywhere(text: str) -> None:
    with pytest.raises(UsageError, match="there is no PATH"):
        parse(text).over(None)


def test_channels_keep_the_project_s_order_and_the_last_option_counts() -> None:
    project = {"b": ChannelSettings("1"), "a": SETTINGS}
    options = [parse(text, everything) for text in ("new=2", "a=3", "a=4,mode=File")]
    assert merged(project, options) == [
        ("b", ChannelSettings("1"), None),
        ("a", ChannelSettings("4", "text/csv", "File", shuffle_seed=3, manifest="m.json"), options[2]),
        ("new", ChannelSettings("2"), options[0]),
    ]
