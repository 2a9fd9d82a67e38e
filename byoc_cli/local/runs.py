"""Run folders: `.byoc/runs/<job>/` with all that a job left, and `.byoc/latest` (design decision 3)."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from byoc_cli.errors import ByocError, UsageError
from byoc_cli.project import Project

_SECRET_NAME = re.compile(
    r"secret|passw(or)?d|passphrase|api_?-?key|access_?-?key|private_?-?key|credential", re.IGNORECASE
)
# With a number they are what a language model is told (max_tokens), with anything else a secret.
_SECRET_NAME_WITHOUT_NUMBER = re.compile(r"token(?!i[sz])|auth(?!or)", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bsk-[\w-]{16,}|\bhf_\w{16,}|\bxox[abpr]-[\w-]{10,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]+:[^/\s@]+@"
)
REDACTED = "<redacted>"
_STAMP = re.compile(r"-\d{4}(-\d\d){5}-\d{3}$")  # what new_job_name puts behind the image's name


@dataclass(frozen=True)
class Run:
    """The folder of one job."""

    folder: Path

    @property
    def name(self) -> str:
        """The job's name."""
        return self.folder.name

    @property
    def description(self) -> Path:
        """The job in the words of DescribeTrainingJob."""
        return self.folder / "job.json"

    @property
    def log(self) -> Path:
        """All that the container printed."""
        return self.folder / "log.txt"

    @property
    def config(self) -> Path:
        """What the container found in /opt/ml/input/config, secrets redacted."""
        return self.folder / "input" / "config"

    @property
    def model(self) -> Path:
        """What the container left in /opt/ml/model."""
        return self.folder / "model"

    @property
    def output(self) -> Path:
        """What the container left in /opt/ml/output."""
        return self.folder / "output"

    @property
    def checkpoints(self) -> Path:
        """What the container left in /opt/ml/checkpoints."""
        return self.folder / "checkpoints"

    @property
    def model_tar(self) -> Path:
        """The model as SageMaker stores it (T-45)."""
        return self.folder / "model.tar.gz"

    @property
    def output_tar(self) -> Path:
        """/opt/ml/output/data as SageMaker stores it (T-46)."""
        return self.folder / "output.tar.gz"

    def of_host(self, host: str) -> Run:
        """The same folders for what one of several hosts left."""
        return Run(self.folder / "hosts" / host)

    @property
    def drivers(self) -> Path:
        """The channel `sm_drivers`, where it is byoc's own (T-09)."""
        return self.folder / "sm_drivers"

    @property
    def staging(self) -> Path:
        """What only lasts as long as the job."""
        return self.folder / ".staging"

    @property
    def restored(self) -> Path:
        """The checkpoints of an interrupted attempt, from when those of the next one take their place."""
        return self.staging / "restored"

    @property
    def metrics(self) -> Path:
        """Every value of every metric."""
        return self.folder / "metrics.csv"

    @property
    def curves(self) -> Path:
        """The metrics' curves."""
        return self.folder / "metrics.png"

    def describe(self) -> dict[str, Any]:
        """Read job.json; {} where there is none yet, or none that can be read."""
        try:
            found = json.loads(self.description.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_description(self, description: Mapping[str, Any]) -> None:
        """Write job.json, whole or not at all."""
        part = self.folder / ".job.json.part"
        self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
        try:
            part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            part.replace(self.description)
        finally:
            part.unlink(missing_ok=True)


def new_job_name(image: str, now: datetime | None = None) -> str:
    """Make a job's name as the SageMaker SDK does: image and time, within 63 characters (T-25)."""
    stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%d-%H-%M-%S-%f")[:-3]
    base = re.sub(r"[^a-zA-Z0-9]+", "-", image).strip("-")[: 62 - len(stamp)].strip("-") or "job"
    return f"{base}-{stamp}"


def check_new(project: Project, name: str) -> None:
    """See that a name is free, before anything takes its time.

    Raises:
        UsageError: there is a job of that name.

    """
    if run := find(project, name):
        raise _taken(run)


def create(project: Project, name: str, *, or_like: bool = False) -> Run:
    """Make the folder of a new job; `or_like` takes a later name where that one, made by new_job_name, is taken.

    Raises:
        UsageError: there is a job of that name.

    """
    prepare_home(project)
    run = Run(project.home / "runs" / name)
    try:
        run.folder.mkdir(parents=True)
        run.config.mkdir(parents=True)
    except FileExistsError as error:
        if not or_like:
            raise _taken(run) from error
        # Two jobs that were started together: names count milliseconds.
        time.sleep(0.001)
        return create(project, new_job_name(_STAMP.sub("", name)), or_like=True)
    except OSError as error:
        raise ByocError(f"the run's folder cannot be made\n{error}") from error
    return run


def _taken(run: Run) -> UsageError:
    return UsageError(f"there is a job '{run.name}' already\nits run is in {run.folder}", hint="choose another --name")


def prepare_home(project: Project) -> Path:
    """Make `.byoc/`, which git ignores by a .gitignore of its own."""
    try:
        project.home.mkdir(exist_ok=True)
        ignore = project.home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise ByocError(
            f"{project.home} cannot be written\n{error.strerror}",
            hint="byoc keeps runs and logs there: make the folder writable",
        ) from error
    return project.home


def point_latest(project: Project, run: Run) -> None:
    """Let `.byoc/latest` point at a run: one atomic step, whoever else does the same now."""
    part = project.home / f".latest-{run.name}"
    part.unlink(missing_ok=True)
    part.symlink_to(Path("runs") / run.name)
    part.replace(project.home / "latest")


def checks(project: Project) -> Path:
    """Return where checks that are at work have a folder each."""
    return project.home / "checks"


def latest(project: Project) -> Run | None:
    """Return the last completed run."""
    link = project.home / "latest"
    return Run(link.resolve()) if link.is_dir() else None


def all_runs(project: Project) -> list[Run]:
    """Every run of the project, the newest first."""
    folder = project.home / "runs"
    found = [Run(path) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(found, key=_created, reverse=True)


def _created(run: Run) -> float:
    """When its job was made; where job.json does not tell, when the folder was last changed."""
    if created := seconds(run.describe().get("CreationTime")):
        return created
    with suppress(OSError):  # it was removed just now
        return run.folder.stat().st_mtime
    return 0.0


def seconds(stamp: object) -> float | None:
    """Return a time of job.json as seconds since the epoch; None for what is no time."""
    with suppress(ValueError):
        return datetime.fromisoformat(stamp).timestamp() if isinstance(stamp, str) else None
    return None


def find(project: Project, name: str) -> Run | None:
    """Return the run of that name."""
    run = Run(project.home / "runs" / name)
    return run if name not in {"", ".", ".."} and "/" not in name and run.folder.is_dir() else None


def get(project: Project, name: str) -> Run:
    """Return the run of that name, or of that path, as `byoc local-train` prints it.

    Raises:
        ByocError: there is none; names those that are near.

    """
    path = Path(name).resolve()
    run = find(project, path.name if path.parent == (project.home / "runs").resolve() else name)
    if run is None:
        known = [run.name for run in all_runs(project)]
        raise ByocError(f"there is no job '{name}' in {project.home / 'runs'}", hint=did_you_mean(name, known))
    return run


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Say which names are near, or else how to see them all."""
    # A name is long, and most of it is the time: a part of it is near, too.
    near = [each for each in known if name and name in each] or difflib.get_close_matches(name, known, 3, 0.6)
    if not near:
        return "byoc runs lists the jobs" if known else "byoc local-train"
    return "did you mean " + " or ".join(f"'{each}'" for each in near[:3]) + "?"


def remove(run: Run) -> None:
    """Remove a run's folder; it is the user's own, whatever the container did."""
    shutil.rmtree(run.folder)


def redact(values: Mapping[str, str]) -> dict[str, str]:
    """Replace what looks like a secret, by name or by shape."""
    return {name: REDACTED if value and _is_secret(name, value) else value for name, value in values.items()}


def _is_secret(name: str, value: str) -> bool:
    number = re.fullmatch(r"[-+0-9.eE]+", value)
    return bool(
        _SECRET_NAME.search(name)
        or (not number and _SECRET_NAME_WITHOUT_NUMBER.search(name))
        or _SECRET_VALUE.search(value)
    )


def git_commit(root: Path) -> str:
    """Return the commit that `root` is at, with "-dirty" where it is not all committed; "" without git."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
