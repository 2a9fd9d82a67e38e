"""A job's hosts: the container of each, what it is made of, and that all of it is gone afterwards."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from byoc_cli.contract import paths, training
from byoc_cli.engine.types import Container, ContainerGone, ContainerSpec, Engine, EngineGone, FileStat, Mount
from byoc_cli.errors import ByocError, MachineError
from byoc_cli.local import labels
from byoc_cli.local.account import ACCOUNT
from byoc_cli.local.background import beside
from byoc_cli.local.collect import CannotCollect, NoSpace, look
from byoc_cli.local.credentials import Access
from byoc_cli.local.mounts import check_mount
from byoc_cli.local.progress import Progress
from byoc_cli.local.training.inputs import HostInputs
from byoc_cli.local.training.job import TrainingJob
from byoc_cli.local.training.layout import lay_out, restore
from byoc_cli.project import Project

if TYPE_CHECKING:
    from byoc_cli.local.dev.source import Source  # late: only `byoc dev` has one


@dataclass
class Host:
    """One host: `spec` is what its container was made of, if we made it; `mounted` what of this machine it shows.

    `empty` is what `look` saw of what most jobs leave as it is; `source` what was put over the image's copy.
    """

    name: str
    container: Container
    spec: ContainerSpec | None = None
    volumes: Sequence[str] = ()
    networks: Sequence[str] = ()
    empty: Mapping[str, FileStat | None] = field(default_factory=dict)
    mounted: Sequence[Path] = ()
    source: Source | None = None

    def gone(self) -> list[Path]:
        """What somebody removed meanwhile of what it shows."""
        return [path for path in self.mounted if not path.exists()]


@contextmanager
def job_hosts(
    engine: Engine,
    project: Project,
    job: TrainingJob,
    inputs: Mapping[str, HostInputs],
    progress: Progress,
    checkpoints: Path | None = None,
    access: Access | None = None,
    check: Callable[[], object] = lambda: None,
) -> Iterator[list[Host]]:
    """Give the job's hosts on their own network, /opt/ml laid out; all are gone afterwards, whatever happens.

    But for what only they have: results that cannot be collected, or that an engine keeps which does not answer.
    `checkpoints` is a folder whose content each host starts with, `access` its way to AWS credentials; `check` is asked
    before each host whether to go on.
    """
    network = f"byoc-{job.name}"
    maker = _Maker(engine, project, job, network, progress, access)
    hosts: list[Host] = []
    kept, gone = False, False
    try:
        # A network takes an engine as long as all the rest, and is not needed before the start.
        with beside(lambda: engine.create_network(network, maker.labels(), internal=job.network_isolation)) as ready:
            for name in job.hosts:
                check()
                hosts.append(maker.make(name, inputs[name], ready))
                if checkpoints:
                    restore(hosts[-1].container, checkpoints)
                hosts[-1].mounted = inputs[name].mounted
                hosts[-1].empty = look(hosts[-1].container, restored=checkpoints is not None)
        with _fed(hosts, inputs, progress):
            yield hosts
    except (CannotCollect, EngineGone) as error:
        kept = len(hosts) == len(job.hosts)
        error.hint = how_to_save(error, hosts) if kept else error.hint
        raise
    except ContainerGone:
        gone = True
        raise
    finally:
        try:
            if len(hosts) < len(job.hosts) or gone:
                # By our own labels: another project's job may have the same name, and a network of it; and whoever
                # removes a container leaves its volumes.
                labels.remove_job(engine, project, job.name)
            else:
                remove(engine, [] if kept else hosts)
                engine.remove_network(network)
        except ByocError as error:
            if not kept:  # else the error says more
                why = error.message.partition("\n")[0]
                progress.warn(f"what the job had in the engine is still there: {why}", "byoc clean removes it")


def how_to_save(error: ByocError, hosts: Sequence[Host]) -> str:
    """Say how to get at what only the containers have."""
    first = "free some space, then" if isinstance(error, NoSpace) else "to save what the job made"
    if isinstance(error, EngineGone):
        first = "`byoc doctor` looks at the engine; when it answers again"
    # An engine looks into a container only with all its mounts.
    gone = dict.fromkeys(path for host in hosts for path in host.gone())
    commands = [f"mkdir -p {path}" for path in gone]
    commands += [
        f"docker cp {host.container.name}:{paths.MODEL} {'.' if len(hosts) == 1 else host.name}" for host in hosts
    ]
    return f"{first}: {' && '.join(commands)} (and `byoc clean` when you have it)"


@contextmanager
def _fed(hosts: Sequence[Host], inputs: Mapping[str, HostInputs], progress: Progress) -> Iterator[None]:
    """Feed the Pipe channels: a feeder ends with its container, and a container never with its feeder."""
    feeders = [feeder for host in hosts for feeder in inputs[host.name].feeders()]
    try:
        for feeder in feeders:
            feeder.start()
        for host in hosts:
            _check_fifos(host, inputs[host.name])
        yield
    finally:
        for feeder in feeders:
            feeder.close()
        for error in {feeder.error: None for feeder in feeders if feeder.error}:
            progress.warn(error, "the container was told that the epoch ended there")


def _check_fifos(host: Host, inputs: HostInputs) -> None:
    """See that the container, not yet started, has the FIFOs."""
    for fifo in sorted(inputs.pipes.iterdir()) if inputs.pipes else ():
        if fifo.is_fifo() and host.container.stat(f"{paths.DATA}/{fifo.name}") is None:
            raise MachineError(
                f"the engine does not see this machine's files\nthe FIFO {fifo} is not there for it",
                hint="run byoc on the machine that the engine runs on, not in a container or with a remote DOCKER_HOST",
            )


def remove(engine: Engine, hosts: Sequence[Host]) -> None:
    """Remove the hosts' containers and volumes."""
    for host in hosts:
        host.container.remove()
        for volume in host.volumes:
            engine.remove_volume(volume)


def warn_of_lost_network(hosts: Sequence[Host], job: TrainingJob, progress: Progress) -> None:
    """Say of whom somebody took the job's network: what a program says of it is hard to understand."""
    for host in hosts:
        with suppress(ByocError):  # of a container that is gone something else is said
            if not host.container.is_on(f"byoc-{job.name}"):
                progress.warn(f"{host.name} is not on the job's network any more: somebody disconnected it")


class _Maker:
    """Makes the containers of a job."""

    def __init__(
        self,
        engine: Engine,
        project: Project,
        job: TrainingJob,
        network: str,
        progress: Progress,
        access: Access | None,
    ) -> None:
        self._engine = engine
        self._project = project
        self._job = job
        self._network = network
        self._progress = progress
        self._access = access
        self._overlays_work = True

    def labels(self, host: str = "") -> dict[str, str]:
        """Labels of what belongs to the job, or to one host of it."""
        own = {labels.HOST_LABEL: host} if host else {}
        return labels.for_job(self._project, self._job.kind, self._job.name, image=self._job.reference) | own

    def make(self, host: str, inputs: HostInputs, network_is_there: Callable[[], object]) -> Host:
        """Make a host; where the engine cannot mount an overlay, its channels are read-only."""
        overlays, made = self._overlays(host, inputs)
        try:
            return self._laid_out(host, inputs, overlays, made, network_is_there)
        except ByocError:
            if not made:
                raise
            # Only what is asked of it tells what an engine can mount; whatever else is wrong shows again.
            for volume in made:
                self._engine.remove_volume(volume)
            laid_out = self._laid_out(host, inputs, {}, (), network_is_there)
            if self._overlays_work:
                self._progress.log("this engine has no overlay to give: the channels are read-only")
            self._overlays_work = False
            return laid_out

    def _overlays(self, host: str, inputs: HostInputs) -> tuple[dict[str, str], Sequence[str]]:
        """Create the volumes for what may be written to: (channel to volume, all that was made)."""
        shown = {
            source.channel.name: str(source.path)
            for source in inputs.sources
            if source.writable and source.path.is_dir()
        }
        if not shown or not self._overlays_work:
            return {}, ()
        # An engine has one volume of a name, and does not say that it is another project's.
        own = hashlib.sha256(self._project.id.encode()).hexdigest()[:8]
        volumes = {name: f"{self._job.container_name(host)}-{own}-{name}" for name in shown}
        folders = {volumes[name]: folder for name, folder in shown.items()}
        return volumes, self._engine.create_overlays(folders, self._job.image.id, self.labels(host))

    def _laid_out(
        self,
        host: str,
        inputs: HostInputs,
        overlays: Mapping[str, str],
        made: Sequence[str],
        network_is_there: Callable[[], object],
    ) -> Host:
        spec = self._spec(host, inputs, overlays)
        container = self._create(spec, network_is_there)
        try:
            more = [self._access.network] if self._access else []
            for network in more:
                container.connect(network)
            lay_out(container, self._job, host, inputs)
            if self._job.source:
                self._job.source.put(container)
            for source in inputs.sources:
                check_mount(container, source.read_only_mount, f"channel '{source.channel.name}'")
        except BaseException:
            container.remove()
            raise
        return Host(host, container, spec, made, more, source=self._job.source)

    def _create(self, spec: ContainerSpec, network_is_there: Callable[[], object]) -> Container:
        try:
            return self._engine.create(spec)
        except ByocError:  # podman wants the network sooner
            network_is_there()
            return self._engine.create(spec)

    def _spec(self, host: str, inputs: HostInputs, overlays: Mapping[str, str]) -> ContainerSpec:
        job = self._job
        # Every folder but the channels is a fresh volume: root's as in the cloud, and what the image has there is
        # hidden.
        volumes = [Mount(path) for path in (paths.INPUT, paths.MODEL, paths.OUTPUT, paths.CHECKPOINTS)]
        volumes += [Mount(paths.DATA, str(inputs.pipes), read_only=True)] if inputs.pipes else []
        channels = [
            source.overlay_mount(overlays[source.channel.name])
            if source.channel.name in overlays
            else source.read_only_mount
            for source in inputs.sources
        ]
        entrypoint, command = training.command(job.entrypoint, job.arguments)
        resources = job.resources_of(host)
        platform = training.environment(job.name, job.region, ACCOUNT, gpu=resources.gpus != "none")
        platform |= self._access.environment if self._access else {}
        source = job.source
        return ContainerSpec(
            image=job.image.id,
            command=command,
            entrypoint=entrypoint,
            name=job.container_name(host),
            labels=self.labels(host),
            environment=platform | dict(job.environment) | dict(source.environment(job.environment) if source else {}),
            mounts=[*volumes, *channels, *(source.mounts if source else ())],
            ports=source.ports if source else {},
            network=self._network,
            aliases=[host],
            # A host's own name is not algo-1 in the cloud (T-27, T-71).
            hostname=f"ip-10-0-{random.randint(0, 255)}-{random.randint(1, 254)}.ec2.internal",  # noqa: S311
            gpus=resources.gpus,
            cpuset=resources.cpuset,
            memory=resources.memory,
            shm_size=resources.shm_size,
            cpus=resources.cpus,
            pids=resources.pids,
        )
