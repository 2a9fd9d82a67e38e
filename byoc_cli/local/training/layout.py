"""What a host finds in /opt/ml before its container starts (T-11 to T-23)."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from byoc_cli.contract import paths, platform_files, training
from byoc_cli.engine.types import Container
from byoc_cli.local import runs
from byoc_cli.local.training.inputs import HostInputs
from byoc_cli.local.training.job import TrainingJob, request

_CHUNK = 1 << 20


def lay_out(container: Container, job: TrainingJob, host: str, inputs: HostInputs) -> None:
    """Put the configuration where the platform puts it, all of it root's, and the manifests beside the channels."""
    config, data, output = (_relative(path) for path in (paths.CONFIG, paths.DATA, paths.OUTPUT_DATA))
    files = {f"{config}/{name}": text for name, text in config_files(job, host).items()}
    files |= {f"{data}/{name}": text for name, text in inputs.manifests.items()}
    # A folder of this machine stays its owner's: an engine would make it root's.
    folders = [config, output] if inputs.pipes else [config, data, output]
    container.put(paths.ROOT, _tar(folders, files))


def config_files(job: TrainingJob, host: str, *, redacted: bool = False) -> dict[str, str]:
    """Make what /opt/ml/input/config holds: name to text (T-12 to T-21); `redacted` for a copy that stays."""
    hyperparameters = runs.redact(job.hyperparameters) if redacted else job.hyperparameters
    files = {
        paths.HYPERPARAMETERS_FILE: training.hyperparameters_json(hyperparameters),
        paths.RESOURCE_CONFIG_FILE: training.resource_config_json(job.hosts, host, job.instance_type),
        paths.INPUT_DATA_CONFIG_FILE: training.input_data_config_json(
            {channel.name: channel.config for channel in job.channels}
        ),
    }
    if job.platform_files:
        files |= platform_files.files(replace(request(job), hyperparameters=hyperparameters), host)
    return files


def put(container: Container, files: Mapping[str, str]) -> None:
    """Put files where the container will find them, root's; they are named by their paths."""
    container.put(paths.ROOT, _tar([], {_relative(path): text for path, text in files.items()}))


def restore(container: Container, folder: Path) -> None:
    """Put checkpoints back before the start, as the platform does from S3 (T-52); they are root's there."""
    container.put(paths.CHECKPOINTS, _tar_of(folder))


def _relative(path: str) -> str:
    return path.removeprefix(f"{paths.ROOT}/")


def _tar(folders: Sequence[str], files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in folders:
            member = tarfile.TarInfo(folder)
            # Not whole seconds: by its time `collect` sees whether a folder is as we left it.
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, time.time()
            tar.addfile(member)
        for name, text in files.items():
            data = text.encode(errors="surrogateescape")  # a file's name need not be UTF-8
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o644, int(time.time())
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _tar_of(folder: Path) -> Iterator[bytes]:
    """Give a tar of what is in a folder, piece by piece: checkpoints may be larger than memory."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            continue
        member = tarfile.TarInfo(str(path.relative_to(folder)))
        status = path.stat()
        member.mtime = int(status.st_mtime)
        if path.is_dir():
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            yield member.tobuf()
            continue
        member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
        with path.open("rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            yield member.tobuf()
            left = member.size
            while left:
                chunk = file.read(min(_CHUNK, left))
                if not chunk:  # it shrank meanwhile: the tar has to be whole
                    chunk = bytes(min(_CHUNK, left))
                left -= len(chunk)
                yield chunk
        yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
