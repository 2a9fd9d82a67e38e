"""How templates/lightgbm reads its channels: from folders, and from FIFOs, which come once."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "templates/lightgbm/channels.py"


@pytest.fixture(scope="module")
def channels() -> Any:
    """The module; its name is its own, for other templates may have one of the same."""
    spec = importlib.util.spec_from_file_location("lightgbm_channels", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def folder(tmp_path: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / "training" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_all_files_of_a_folder_in_order_and_what_is_missing_is_nan(channels: Any, tmp_path: Path) -> None:
    data = folder(tmp_path, {"b.csv": "0,3,\n", "a/a.csv": "1,1,2\n\n", "notes.txt": "no table"})
    table = channels.Channel(data, "training", {"TrainingInputMode": "File"}).read()
    assert table.labels.tolist() == [1, 0]
    assert table.features[0].tolist() == [1, 2]
    assert table.features[1][0] == 3
    assert table.features[1][1] != table.features[1][1]


def test_a_folder_can_be_read_again(channels: Any, tmp_path: Path) -> None:
    channel = channels.Channel(folder(tmp_path, {"a.csv": "1,2\n"}), "training", {})
    assert channel.read().labels.tolist() == channel.read().labels.tolist() == [1]


def test_each_read_of_a_pipe_is_its_next_epoch(channels: Any, tmp_path: Path) -> None:
    def feed(epochs: Sequence[str]) -> None:
        for number, text in enumerate(epochs):
            path = tmp_path / f"training_{number}"
            os.mkfifo(path)
            path.write_text(text)  # opens when it is read
            path.unlink()

    writer = threading.Thread(target=feed, args=[["1,10\n0,20\n", "0,30\n"]], daemon=True)
    writer.start()
    channel = channels.Channel(tmp_path, "training", {"TrainingInputMode": "Pipe", "ContentType": "text/csv"})
    assert channel.read().features.tolist() == [[10], [20]]
    assert channel.read().features.tolist() == [[30]]
    writer.join(60)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n0,4\n", "a.csv, line 2: 2 values; a label and features are wanted, 3 values as in the first line"),
        ("1\n", "a.csv, line 1: 1 values"),
        ("label,size\n1,2\n", "a.csv, line 1: could not convert string to float: 'label'"),
        (",2\n", "its label, and one is missing"),
        ("", "channel training is empty"),
    ],
)
def test_what_is_no_table_is_said_with_its_place(channels: Any, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(channels.JobError) as raised:
        channels.Channel(folder(tmp_path, {"a.csv": text}), "training", {}).read()
    assert words in str(raised.value)


def test_what_is_not_read_is_refused(channels: Any, tmp_path: Path) -> None:
    for settings, words in (
        ({"ContentType": "application/x-parquet"}, "it must be text/csv"),
        ({"RecordWrapperType": "RecordIO"}, "CSV needs no wrapper"),
    ):
        with pytest.raises(channels.JobError, match=words):
            channels.Channel(tmp_path, "training", settings)
    channels.Channel(tmp_path, "training", {"ContentType": "text/csv; label_size=1"})
    with pytest.raises(channels.JobError, match="there is no channel training"):
        channels.Channel(tmp_path, "training", {}).read()
