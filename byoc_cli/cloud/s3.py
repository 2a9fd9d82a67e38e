"""Data in S3, as a folder of this machine: downloaded once (T-56, T-58)."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError
from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber

from byoc_cli.cloud import account as accounts
from byoc_cli.cloud import faults
from byoc_cli.cloud.s3_cache import Cache, RemoteObject, clash, home
from byoc_cli.contract.channels import S3, bucket_and_key
from byoc_cli.errors import ByocError, MachineError, UsageError

Log = Callable[[str], None]
Meter = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Given a label and a total, shows bytes as they are done."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# A read that hangs holds up Ctrl-C, and is tried again.
_CONFIG = Config(connect_timeout=10, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})


@dataclass(frozen=True)
class Listing:
    """What is below a URI: `root` is the URI of the folder that the names in `files` are relative to."""

    uri: str
    root: str
    files: Mapping[str, RemoteObject]

    @property
    def bucket(self) -> str:
        """Its bucket."""
        return bucket_and_key(self.uri)[0]

    @property
    def whole(self) -> bool:
        """Whether the URI is a folder or an object: not only the beginning of some keys."""
        key = bucket_and_key(self.uri)[1]
        return self.root.rstrip("/") == self.uri.rstrip("/") or all(one.key == key for one in self.files.values())


def connect() -> Any:
    """Make a client of S3.

    Raises:
        MachineError: there are no credentials.

    """
    with faults.translated("S3 cannot be used"):
        session = accounts.open_session()
        if accounts.found_credentials(session) is None:
            raise MachineError(
                "there are no AWS credentials\ndata in S3 needs them; none are in the environment nor in ~/.aws",
                hint=faults.LOGIN,
            )
        # Only where to ask first: a bucket answers with its own region, and botocore goes there.
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region") or "us-east-1"
        client = session.create_client("s3", region_name=region, config=_CONFIG)
    # Not of all answers: an object may be a page of HTML.
    client.meta.events.register("before-parse.s3.ListObjectsV2", faults.check_is_aws)
    return client


def listing(client: Any, uri: str, names: Sequence[str] | None = None) -> Listing:
    """List what is below an s3:// URI, or of a folder only `names`, which are relative to it.

    A URI is a prefix: `s3://b/pre` is `pre`, `pre/x` and `pre1/x`. Where all is below `pre/`, that folder is the root,
    as was seen in a real job (T-22); else the last folder that the prefix names, so that the tree is kept (T-58).

    Raises:
        UsageError: no bucket in it, no such bucket, nothing there, a name that is missing or cannot be a file here.
        MachineError: AWS cannot be asked, or denies it.

    """
    bucket, prefix = _checked(uri)
    keys = _objects(client, bucket, prefix, names)
    if not keys:
        raise UsageError(
            f"there are no objects at {uri}\nlooked for keys that begin with '{prefix}' in the bucket '{bucket}'",
            hint=f"aws s3 ls --recursive {uri}",
        )
    base = prefix[: prefix.rfind("/") + 1]
    if prefix != base and all(one.key.startswith(f"{prefix}/") for one in keys):
        base = f"{prefix}/"
    files = {one.key.removeprefix(base): one for one in keys}
    if missing := [name for name in names or () if name not in files]:
        more = f", and {len(missing) - 1:,} more" if missing[1:] else ""
        raise UsageError(f"there is no object {uri}{missing[0]}{more}\nthe manifest lists it", hint=f"aws s3 ls {uri}")
    for name in files:
        if problem := _name_problem(name):
            raise UsageError(f"the object {S3}{bucket}/{base}{name} cannot be a file here\n{problem}")
    if both := clash(list(files)):
        raise UsageError(
            f"{S3}{bucket}/{base}{both[0]} cannot be a file here\nit would be the folder of '{both[1]}', too",
            hint="a longer prefix leaves one of them out",
        )
    return Listing(uri, f"{S3}{bucket}/{base}", files)


def folder(client: Any, listed: Listing, log: Log, meter: Meter) -> Path:
    """Give a folder with what was listed, below the cache; only what is not there yet is downloaded.

    Raises:
        MachineError: no room on the disk, or no permission for an object.
        ByocError: an object was changed meanwhile, or cannot be read.

    """
    with _disk(listed):
        cache = Cache(home(os.environ) / listed.bucket)
        found = cache.find(listed.root, listed.files)
        if found:
            log(f"{listed.uri}: {_amount(listed.files.values())}, downloaded before")
            return found
        missing = cache.missing(listed.files.values())
        if missing:
            _check_space(cache, missing)
            log(f"{listed.uri}: downloading {_amount(missing)} of {_amount(listed.files.values())}")
            with meter(f"downloading {listed.uri}", sum(one.size for one in missing)) as advance:
                _download(client, listed, missing, cache, advance)
        made = cache.make(listed.root, listed.files)
        cache.prune(listed.root, made, time.time())
        return made


def _checked(uri: str) -> tuple[str, str]:
    bucket, prefix = bucket_and_key(uri)
    if not _BUCKET.fullmatch(bucket):
        why = f"'{bucket}' is no name of a bucket: 3 to 63 lower-case letters, digits, '.' and '-'"
        raise UsageError(f"{uri} is wrong\n{why}", hint="s3://BUCKET/PREFIX")
    return bucket, prefix


def _objects(client: Any, bucket: str, prefix: str, names: Sequence[str] | None) -> list[RemoteObject]:
    wanted = {prefix + name for name in names} if names is not None else None
    # One listing of all that the names begin with costs less than to ask for each of them, and needs no other right.
    common = os.path.commonprefix(list(wanted)) if wanted else prefix  # noqa: RUF071 - S3's are of characters
    found = []
    with faults.translated(f"{S3}{bucket}/{prefix} cannot be listed", f"arn:aws:s3:::{bucket}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=common):
            for row in page.get("Contents", []):
                # A key with a slash at its end is how a console draws a folder.
                if not row["Key"].endswith("/") and (wanted is None or row["Key"] in wanted):
                    modified = int(row["LastModified"].timestamp())
                    found.append(RemoteObject(row["Key"], int(row["Size"]), str(row["ETag"]), modified))
            if wanted and len(found) == len(wanted):
                break
    return found


def _name_problem(name: str) -> str:
    parts = name.split("/")
    if ".." in parts or "." in parts:
        return "its key leads out of its folder"
    if "" in parts:
        return "its key has two slashes in a row" if parts[0] else "its key is an absolute path"
    return "its key has a zero byte" if "\0" in name else ""


class _Watch(BaseSubscriber):
    """Follows one transfer: tells s3transfer what the listing said, so that it asks no more, and counts."""

    def __init__(self, one: RemoteObject, cache: Cache, advance: Callable[[int], None]) -> None:
        self._one = one
        self._cache = cache
        self._advance = advance

    def on_queued(self, future: Any, **_: object) -> None:
        future.meta.provide_transfer_size(self._one.size)
        future.meta.provide_object_etag(self._one.etag)

    def on_progress(self, future: Any, bytes_transferred: int, **_: object) -> None:  # noqa: ARG002 - by name
        self._advance(bytes_transferred)

    def on_done(self, future: Any, **_: object) -> None:  # noqa: ARG002 - by name
        if self._cache.path(self._one).is_file():
            self._cache.finish(self._one)


def _download(
    client: Any, listed: Listing, missing: Sequence[RemoteObject], cache: Cache, advance: Callable[[int], None]
) -> None:
    """Download side by side, large objects in parts.

    s3transfer writes beside the file and renames it when it is whole; what was broken off is not there.
    """
    lock = threading.Lock()

    def count(amount: int) -> None:
        with lock:
            advance(amount)

    cache.make_room(missing)
    with (
        _as_listed(client, missing) as end,
        TransferManager(client, TransferConfig(max_request_concurrency=10)) as manager,
    ):
        try:
            futures = [
                manager.download(listed.bucket, one.key, str(cache.path(one)), subscribers=[_Watch(one, cache, count)])
                for one in missing
            ]
            for one, future in zip(missing, futures, strict=True):
                with _one_transfer(f"{S3}{listed.bucket}/{one.key}"):
                    future.result()
        except BaseException:
            end.set()
            raise


@contextmanager
def _as_listed(client: Any, objects: Sequence[RemoteObject]) -> Iterator[threading.Event]:
    """Let S3 refuse what was changed since the listing: s3transfer itself asks so only for parts of large objects.

    Gives what ends it: no more requests are made, whatever s3transfer would still try.
    """
    etags = {one.key: one.etag for one in objects}
    event, end = "before-parameter-build.s3.GetObject", threading.Event()

    def ask(params: dict[str, Any], **_: object) -> None:
        if end.is_set():
            raise ByocError("interrupted")
        params["IfMatch"] = etags[params["Key"]]

    client.meta.events.register(event, ask)
    try:
        yield end
    finally:
        client.meta.events.unregister(event, ask)


@contextmanager
def _one_transfer(uri: str) -> Iterator[None]:
    what = f"{uri} cannot be downloaded"
    with faults.translated(what, f"arn:aws:s3:::{uri.removeprefix(S3)}"):
        try:
            yield
        except S3DownloadFailedError as error:
            raise ByocError(f"{uri} was changed while it was downloaded", hint="try again") from error
        except RetriesExceededError as error:
            cause = error.last_exception
            raise MachineError(f"{what}\n{cause}", hint="try again: what is downloaded stays") from error


@contextmanager
def _disk(listed: Listing) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{listed.uri} cannot be kept on this machine\n{error}",
            hint="downloads are kept in ~/.cache/byoc/s3, or in $XDG_CACHE_HOME/byoc/s3",
        ) from error


def _check_space(cache: Cache, missing: Sequence[RemoteObject]) -> None:
    cache.folder.mkdir(parents=True, exist_ok=True)
    size, free = sum(one.size for one in missing), shutil.disk_usage(cache.folder).free
    if size > free:
        raise MachineError(
            f"{size / 1e6:,.0f} MB are to be downloaded, and {free / 1e6:,.0f} MB are free in {cache.folder}",
            hint="free some space, or set XDG_CACHE_HOME to a folder on another disk",
        )


def _amount(objects: Any) -> str:
    found = list(objects)
    size = sum(one.size for one in found)
    return f"{len(found):,} object{'s' * (len(found) != 1)} ({size / 1e6:,.1f} MB)"
