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
from quiet_import import without_banner
from sagemaker_job import JobError, StopRequest, fail, find_tfrecords

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hyperparameters import Hyperparameters
    from training import Trainer

MODEL_NAME = "cifar10"
_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes."""

    data: Path
    model: Path
    checkpoints: Path


def run(folders: Folders, settings: Hyperparameters, stop: StopRequest) -> None:
    """Train, export, evaluate. A stop request ends the training early and skips the evaluation."""
    train_file = find_tfrecords(folders.data, "train")
    eval_file = find_tfrecords(folders.data, "eval")
    started = time.monotonic()
    # TensorFlow takes seconds to import: only when the job's set-up is known to be right.
    with without_banner():
        import input_pipeline
        from export_model import export_saved_model
        from training import Trainer

    checkpoints = CheckpointFolder(folders.checkpoints)
    trainer = Trainer(settings)
    trainer.resume(checkpoints.latest())
    print(
        f"{trainer.model.name}: {trainer.model.count_params():,} parameters,"
        f" ready in {time.monotonic() - started:.1f} s",
        flush=True,
    )
    batches = input_pipeline.training_batches(train_file, settings.batch_size, settings.seed + trainer.step)
    train(trainer, batches, checkpoints, stop)
    if trainer.step == 0:
        print("stopped before the first step: there is no model", flush=True)
        return
    version = export_saved_model(trainer.model, folders.model / MODEL_NAME)
    print(f"model exported to {version}", flush=True)
    if not stop:
        evaluate(trainer, input_pipeline.evaluation_batches(eval_file, _EVALUATION_BATCH), stop)


def train(trainer: Trainer, batches: Iterator[Any], checkpoints: CheckpointFolder, stop: StopRequest) -> None:
    """Take the steps that are left, print a line of metrics now and then, save checkpoints."""
    settings = trainer.settings
    first_step, started = trainer.step, time.monotonic()
    saved = first_step
    while trainer.step < settings.train_steps and not stop:
        trainer.take_step(next(batches))
        last = trainer.step == settings.train_steps
        if last or trainer.step % settings.log_steps == 0:
            print(trainer.metrics_line(), flush=True)
        if last or trainer.step % settings.checkpoint_steps == 0:
            checkpoints.save(trainer.step, trainer.state())
            saved = trainer.step
    if trainer.step > saved:  # stopped between two checkpoints
        checkpoints.save(trainer.step, trainer.state())
    seconds, steps = time.monotonic() - started, trainer.step - first_step
    if steps:
        print(
            f"train_steps={steps} train_seconds={seconds:.1f}"
            f" images_per_second={steps * settings.batch_size / seconds:.0f}",
            flush=True,
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


def main(arguments: Sequence[str], stop: StopRequest) -> None:
    """Parse the command line and run; what is wrong with the job is a JobError."""
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
    run(Folders(options.data_dir, options.model_dir, checkpoint_dir), settings, stop)


if __name__ == "__main__":
    try:
        main(sys.argv[1:], StopRequest().listen())
    except JobError as error:
        sys.exit(fail(error))
