"""A job's container: what it is made of, what it finds, and that it is gone afterwards."""

from __future__ import annotations

import io
import random
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from byoc_cli.contract import paths, training
from byoc_cli.engine.types import Container, ContainerSpec, Engine, Mount
from byoc_cli.errors import ByocError
from byoc_cli.local import labels, runs
from byoc_cli.local.background import beside
from byoc_cli.local.collect import NoSpace
from byoc_cli.local.training.job import ACCOUNT, HOST, TrainingJob
from byoc_cli.project import Project


@contextmanager
def job_container(engine: Engine, project: Project, job: TrainingJob) -> Iterator[Container]:
    """Give the job's container on its own network, /opt/ml laid out; both are gone afterwards, whatever happens."""
    name = f"byoc-{job.name}"
    marks = labels.for_job(project, "train", job.name)
    # Every folder but the channels is a fresh volume: root's as in the cloud, and what the image has there is hidden.
    volumes = [Mount(path) for path in (paths.INPUT, paths.MODEL, paths.OUTPUT, paths.CHECKPOINTS)]
    spec = ContainerSpec(
        image=job.image.id,
        command=[training.COMMAND],
        name=name,
        labels=marks,
        environment=training.environment(job.name, job.region, ACCOUNT, gpu=job.gpus != "none") | dict(job.environment),
        mounts=[*volumes, *(channel.mount for channel in job.channels)],
        network=name,
        aliases=[HOST],
        # A host's own name is not algo-1 in the cloud (T-27, T-71).
        hostname=f"ip-10-0-{random.randint(0, 255)}-{random.randint(1, 254)}.ec2.internal",  # noqa: S311
        gpus=job.gpus,
    )
    container: Container | None = None
    kept = False
    try:
        # A network takes an engine as long as all the rest, and is not needed before the start.
        with beside(lambda: engine.create_network(name, marks)) as network_is_there:
            try:
                container = engine.create(spec)
            except ByocError:  # podman wants it sooner
                network_is_there()
                container = engine.create(spec)
            lay_out(container, job)
        yield container
    except NoSpace as error:
        kept = True
        error.hint = f"free some space, then: docker cp {name}:{paths.MODEL} . (and `byoc clean` when you have it)"
        raise
    finally:
        if container and not kept:
            container.remove()
        if container is None:
            # By our own labels: another project's job may have the same name, and a network of it.
            labels.remove_job(engine, project, job.name)
        else:
            engine.remove_network(name)


def lay_out(container: Container, job: TrainingJob) -> None:
    """Put the configuration where the platform puts it, all of it root's (T-11 to T-23)."""
    config, data, output = (
        path.removeprefix(f"{paths.ROOT}/") for path in (paths.CONFIG, paths.DATA, paths.OUTPUT_DATA)
    )
    files = {f"{config}/{name}": text for name, text in config_files(job).items()}
    container.put(paths.ROOT, _tar([config, data, output], files))


def config_files(job: TrainingJob, *, redacted: bool = False) -> dict[str, str]:
    """Make what /opt/ml/input/config holds: name to text (T-12 to T-19)."""
    hyperparameters = runs.redact(job.hyperparameters) if redacted else job.hyperparameters
    return {
        paths.HYPERPARAMETERS_FILE: training.hyperparameters_json(hyperparameters),
        paths.RESOURCE_CONFIG_FILE: training.resource_config_json([HOST], HOST, job.instance_type),
        paths.INPUT_DATA_CONFIG_FILE: training.input_data_config_json(
            {channel.name: channel.config for channel in job.channels}
        ),
    }


def _tar(folders: Sequence[str], files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in folders:
            member = tarfile.TarInfo(folder)
            # Not whole seconds: by its time `collect` sees whether a folder is as we left it.
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, time.time()
            tar.addfile(member)
        for name, text in files.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o644, int(time.time())
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
