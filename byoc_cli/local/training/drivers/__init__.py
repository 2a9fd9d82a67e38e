"""The channel `sm_drivers` of SDK v3 (T-09), with drivers of byoc's own.

`ModelTrainer` sends its drivers along with each job. These do the same for a single script, from the same files and
with the same names, but say less: sm_train.sh asks for a Python and pip, lets environment.py make the SM_* variables
(T-30), and entry_script.py runs SourceCode.entry_script in /opt/ml/input/data/code, hyperparameters as `--name value`.
What SourceCode(command=…), requirements and distributed (torchrun, MPI) do is not among it: who needs that gives the
SDK's own folder as the channel.

The other files of this package are for the image's own Python (3.7 and later) and bash; they know nothing of byoc, and
find /opt/ml by where they are themselves.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from byoc_cli.contract import sdk_v3
from byoc_cli.local.channels import Channel
from byoc_cli.local.runs import Run
from byoc_cli.local.training.job import TrainingJob

_FILES = ("sm_train.sh", "environment.py", "entry_script.py")


def with_drivers(job: TrainingJob, run: Run) -> TrainingJob:
    """Give a job that has an entry script the channel which runs it; its files stay in the run's folder."""
    if not job.entry_script:
        return job
    write(run.drivers, job.entry_script)
    return replace(job, channels=[*job.channels, Channel(sdk_v3.DRIVERS, run.drivers)])


def write(folder: Path, entry_script: str) -> None:
    """Make the folder of drivers for an entry script."""
    folder.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(Path(__file__).with_name(name), folder / name)
        (folder / name).chmod(0o755)
    # SourceCode's own words, as far as they are read.
    source = {"source_dir": sdk_v3.CODE, "entry_script": entry_script}
    (folder / "sourcecode.json").write_text(json.dumps(source) + "\n", encoding="utf-8")
