#!/usr/bin/env python3
"""Train a ResNet on CIFAR-10 and export it for TensorFlow Serving.

`train` calls this with SageMaker's folders and hyperparameters. By hand:

  cifar10.py --data-dir data/cifar-10 --model-dir /tmp/model --train-steps 100
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hyperparameters
from checkpoints import CheckpointFolder
from hosts import Hosts, reads_shards, wait_for_hosts
from quiet_import import without_banner
from sagemaker_job import JobError, StopRequest, fail, find_tfrecords

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hyperparameters import Hyperparameters
    from training import Trainer

MODEL_NAME = "cifar10"
_EVALUATION_BATCH = 500
_NO_MODEL = "stopped before the first step: there is no model"


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes."""

    data: Path
    model: Path
    checkpoints: Path


@dataclass(frozen=True)
class Data:
    """What this host reads: the records of `train` from the i-th on in steps of n, for `part` (n, i)."""

    train: list[Path]
    evaluation: list[Path]
    part: tuple[int, int]


def find_data(folder: Path, hosts: Hosts, *, sharded: bool = False) -> Data:
    """Find the channel's files. Where the platform has dealt them to the hosts (T-57), a host takes all of its own."""
    if hosts.count == 1 or not sharded:
        train_files = find_tfrecords(folder, "train")
        return Data(train_files, find_tfrecords(folder, "eval") if hosts.is_chief else [], (hosts.count, hosts.index))
    try:
        train_files = find_tfrecords(folder, "train")
    except JobError as error:
        raise JobError(
            f"{error}; ShardedByS3Key deals files to hosts: have at least {hosts.count} train-*.tfrecords,"
            " or use FullyReplicated"
        ) from error
    return Data(train_files, sorted(folder.glob("eval*.tfrecords")), (1, 0))


def run(folders: Folders, settings: Hyperparameters, stop: StopRequest, hosts: Hosts) -> None:
    """Train, export, evaluate. A stop request ends the training early and skips the evaluation.

    Of several hosts, all train; what is printed and written is the chief's.
    """
    share = hosts.share(settings.batch_size)
    data = find_data(folders.data, hosts, sharded=reads_shards(folders.data.name))
    started = time.monotonic()
    # TensorFlow takes seconds to import: only when the job's set-up is known to be right.
    with without_banner():
        import input_pipeline
        from cooperation import cooperation
        from export_model import export_saved_model
        from training import Trainer

    wait_for_hosts(hosts, stop)
    if stop and hosts.count > 1:
        print(_NO_MODEL, flush=True)
        return
    with cooperation(hosts, stop) as strategy:
        checkpoints = CheckpointFolder(folders.checkpoints) if hosts.is_chief else None
        trainer = Trainer(settings, hosts, strategy)
        trainer.resume(checkpoints.latest() if checkpoints else None)
        together = f", {share} of each {settings.batch_size} pictures" if hosts.count > 1 else ""
        print(
            f"{trainer.model.name}: {trainer.model.count_params():,} parameters{together},"
            f" ready in {time.monotonic() - started:.1f} s",
            flush=True,
        )
        batches = input_pipeline.training_batches(data.train, share, settings.seed + trainer.step, data.part)
        train(trainer, batches, checkpoints, stop)
        if hosts.is_chief:
            version = export_saved_model(trainer.model, folders.model / MODEL_NAME)
            print(f"model exported to {version}", flush=True)
            if data.evaluation and not stop:
                evaluate(trainer, input_pipeline.evaluation_batches(data.evaluation, _EVALUATION_BATCH), stop)
        trainer.part_from_hosts()


def train(trainer: Trainer, batches: Iterator[Any], checkpoints: CheckpointFolder | None, stop: StopRequest) -> None:
    """Take the steps that are left; the host with the checkpoints prints a line of metrics now and then and saves."""
    settings = trainer.settings
    first_step, started = trainer.step, time.monotonic()
    saved = first_step

    def save() -> int:
        trainer.settle_statistics()
        if checkpoints:
            checkpoints.save(trainer.step, trainer.state())
        return trainer.step

    def tell(line: str) -> None:
        if checkpoints:
            print(line, flush=True)

    # One step at least: a job that is stopped has a model all the same (T-41).
    while trainer.step < settings.train_steps and not (trainer.step and trainer.any_host(stop)):
        trainer.take_step(next(batches))
        last = trainer.step == settings.train_steps
        if last or trainer.step % settings.log_steps == 0:
            tell(trainer.metrics_line())
        if last or trainer.step % settings.checkpoint_steps == 0:
            saved = save()
    if trainer.step > saved:  # stopped between two checkpoints
        save()
    seconds, steps = time.monotonic() - started, trainer.step - first_step
    if steps:
        tell(
            f"train_steps={steps} train_seconds={seconds:.1f}"
            f" images_per_second={steps * settings.batch_size / seconds:.0f}"
        )


def evaluate(trainer: Trainer, batches: Iterator[Any], stop: StopRequest) -> None:
    """Print loss and accuracy on the 10,000 test pictures."""
    started = time.monotonic()
    for batch in batches:
        if stop:
            return
        trainer.evaluate_batch(batch)
    loss, accuracy = trainer.take_means()
    print(
        f"eval_loss={loss:.4f} eval_accuracy={accuracy:.4f} eval_seconds={time.monotonic() - started:.1f}",
        flush=True,
    )


def main(arguments: Sequence[str], stop: StopRequest, hosts: Hosts | None = None) -> None:
    """Parse the command line and run, on one host unless told; what is wrong with the job is a JobError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the .tfrecords files")
    parser.add_argument("--model-dir", type=Path, required=True, help="where the SavedModel goes")
    parser.add_argument("--checkpoint-dir", type=Path, help="default: checkpoints/ beside the model")
    for name, field in hyperparameters.names().items():
        parser.add_argument(f"--{name}", metavar=str(field.default), help=field.metadata["help"])
    options = parser.parse_args(arguments)
    given = {name: getattr(options, name.replace("-", "_")) for name in hyperparameters.names()}
    settings = hyperparameters.parse({name: text for name, text in given.items() if text is not None})
    checkpoint_dir = options.checkpoint_dir or options.model_dir.parent / "checkpoints"
    run(Folders(options.data_dir, options.model_dir, checkpoint_dir), settings, stop, hosts or Hosts())


if __name__ == "__main__":
    try:
        main(sys.argv[1:], StopRequest().listen())
    except JobError as error:
        sys.exit(fail(error))
