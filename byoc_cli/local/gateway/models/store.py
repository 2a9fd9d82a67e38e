"""The files of many models: archives in a folder, which stands for a prefix in S3, and what is unpacked of them."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zlib
from pathlib import Path

from byoc_cli.contract import multi_model

_SHOWN = 10  # names of models in an error
_LOOKED_AT = 1000  # files, to find them


class NoSuchModel(Exception):
    """There is no archive of that name."""


class NoArchive(Exception):
    """It is none that can be unpacked."""


class Store:
    """Archives of `source`, unpacked into `folder`/models/HASH/model, which the container has at /opt/ml/models."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._unpacked: dict[str, tuple[int, int]] = {}
        self._closed = False

    def key(self, target: str) -> str:
        """Name the object that a TargetModel would be in S3."""
        return f"{self._source.name}/{target}"

    def prepare(self, target: str) -> None:
        """See that a model is unpacked: one that was is taken as it is, unless its archive is another one now.

        Raises:
            NoSuchModel: there is no such archive; one that is unpacked is served all the same, as in the cloud.
            NoArchive: it cannot be unpacked.

        """
        name = multi_model.name_of(target)
        path = self._path(target)
        found = _look(path) if path else None
        if path is None or found is None or not stat.S_ISREG(found.st_mode):
            if name not in self._unpacked:
                raise NoSuchModel(self._missing(target))
            return
        stamp = (found.st_size, found.st_mtime_ns)
        if self._unpacked.get(name) == stamp:
            return
        part = self._folder / "unpacking" / name
        final = self._folder / "models" / name / "model"
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(parents=True)
            self._unpack(path, part)
            shutil.rmtree(final, ignore_errors=True)
            final.parent.mkdir(exist_ok=True)
            part.rename(final)
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise NoArchive(f"{path} cannot be unpacked\n{error}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self._unpacked[name] = stamp

    def close(self) -> None:
        """Break off what is being unpacked; `remove` may follow when no `prepare` runs any more."""
        self._closed = True

    def remove(self) -> None:
        """Remove all that was unpacked."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, target: str) -> Path | None:
        # A key in S3 is no path: nothing leads up from the prefix.
        parts = target.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\0" in target:
            return None
        return self._source.joinpath(*parts)

    def _missing(self, target: str) -> str:
        path = self._path(target)
        found = _look(path) if path else None
        if found and stat.S_ISDIR(found.st_mode):
            return f"{path} is a folder, not an archive\nmake one: tar -czf NAME.tar.gz -C {path} ."
        known = _archives(self._source)
        shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
        return f"there is no model '{target}' in {self._source}\nthere are: {shown or 'none'}"

    def _unpack(self, path: Path, folder: Path) -> None:
        with path.open("rb") as file, tarfile.open(fileobj=_Stoppable(file, self), mode="r:gz") as tar:
            tar.extraction_filter = staticmethod(lambda member, _: member)  # Python's own came with 3.11.4
            root = Path(os.path.realpath(folder))
            for member in tar:
                _check(member, root)
                # The user's own, whatever the archive says.
                member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
                member.mode = member.mode & 0o777 | (0o700 if member.isdir() else 0o600)
                tar.extract(member, root)

    @property
    def closed(self) -> bool:
        """Whether it is all over."""
        return self._closed


class _Stoppable(io.RawIOBase):
    """A file whose reading ends with the store: a large archive keeps nobody waiting."""

    def __init__(self, file: io.BufferedReader, store: Store) -> None:
        self._file = file
        self._store = store

    def read(self, size: int = -1) -> bytes:
        if self._store.closed:
            raise OSError("the endpoint has ended")
        return self._file.read(size)


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # also a name that is too long
        return None


def _check(member: tarfile.TarInfo, root: Path) -> None:
    """See that a member stays inside, through the links that are there already.

    Raises:
        tarfile.TarError: it does not, or is no file, folder or link.

    """
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise tarfile.TarError(f"'{member.name}' is neither a file nor a folder")
    place = os.path.realpath(root / member.name)
    reached = [Path(place)]
    if member.issym():
        reached.append(Path(os.path.realpath(Path(place).parent / member.linkname)))
    if member.islnk():
        reached.append(Path(os.path.realpath(root / member.linkname)))
    if not all(each.is_relative_to(root) for each in reached):
        raise tarfile.TarError(f"'{member.name}' leads out of the archive")


def _archives(folder: Path) -> list[str]:
    found, looked = [], 0
    for place, folders, files in os.walk(folder):
        folders.sort()
        found += [os.path.relpath(Path(place) / file, folder) for file in sorted(files) if file.endswith(".tar.gz")]
        looked += len(files)
        if len(found) > _SHOWN or looked > _LOOKED_AT:
            break
    return found
