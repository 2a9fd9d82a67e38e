"""One process of a training job: `train` starts one for each GPU, or one on a host without GPUs.

Of all processes the first, on the first host, prints the metrics and writes the checkpoints and the model.
"""

from __future__ import annotations

import io
import math
import os
import re
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from digits import job, network
from digits.job import JobError, Settings
from digits.pictures import Pictures, Share, read_pictures

# A collective that waits longer is a host that hangs, or is off the network; one that ended is noticed at once.
TIMEOUT = timedelta(minutes=3)
KEPT_CHECKPOINTS = 2
CHECKPOINT = re.compile(r"checkpoint-(\d+)\.pt")


@dataclass(frozen=True)
class Processes:
    """The processes of the job, as torchrun tells each of them; without torchrun this one is alone."""

    rank: int
    count: int
    local_rank: int  # on this host
    local_count: int

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Meet the others. NCCL connects GPUs, Gloo CPUs; `train` has told both which network interface to use."""
        names = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
        processes = cls(*(int(os.environ.get(name, alone)) for name, alone in names.items()))
        if processes.count > 1:
            address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            store = dist.TCPStore(address, port, is_master=False, timeout=TIMEOUT, use_libuv=False)  # torchrun's
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(
                backend, store=store, rank=processes.rank, world_size=processes.count, timeout=TIMEOUT
            )
        return processes

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def share(self, here: int, device: torch.device) -> Share:
        """Find out which pictures of all are here: all, or another part on each host (T-57)."""
        if not job.is_sharded("training"):
            return Share(here, 0, here, self.rank, self.count)
        counts = torch.zeros(self.count, dtype=torch.int64, device=device)
        counts[self.rank] = here if self.local_rank == 0 else 0  # the processes of a host have the same pictures
        numbers = self.sum(counts).tolist()
        first = sum(numbers[: self.rank - self.local_rank])
        return Share(sum(numbers), first, here, self.local_rank, self.local_count)


class Trainer:
    """What changes while it learns: the network, its optimizer, and the number of steps that were taken."""

    def __init__(self, settings: Settings, pictures: Pictures, processes: Processes, device: torch.device) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.pictures = pictures
        self.processes = processes
        self.device = device
        self.share = processes.share(len(pictures), device)
        if not self.share.total:
            raise JobError("channel training has no pictures: its *.csv and *.csv.gz have no lines, or there are none")
        self.network = network.Network().to(device)
        self.parallel = DistributedDataParallel(self.network) if processes.count > 1 else self.network
        self.optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=0.01)
        self.steps_per_epoch = math.ceil(self.share.total / settings.batch_size)
        self.last_step = settings.epochs * self.steps_per_epoch
        self.step = 0

    def train(self, stop: Path) -> bool:
        """Take the steps that are left, or those until `stop` is there on any host; returns whether it came to that."""
        size = self.settings.batch_size
        while self.step < self.last_step:
            epoch, done = divmod(self.step, self.steps_per_epoch)
            order = self.share.order(epoch, self.settings.seed)
            sums = torch.zeros(3, device=self.device)  # loss, hits, pictures
            started = time.monotonic()
            for batch in order.split(size)[done:]:
                step = self.take_step(batch, stopped=stop.exists())
                sums += step[:3]
                if step[3]:
                    self.save_checkpoint()
                    return True
            loss, hits, seen = sums.tolist()
            speed = seen / (time.monotonic() - started)
            self.tell(
                f"epoch={epoch + 1} loss={loss / seen:.4f} accuracy={hits / seen:.4f} images_per_second={speed:.0f}"
            )
            self.save_checkpoint()
        return False

    def take_step(self, batch: torch.Tensor, *, stopped: bool) -> torch.Tensor:
        """Learn one batch, of which this process takes its part.

        Returns sums over all processes: [loss, hits, pictures, how many were told to stop], of which the last lets all
        end after the same step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * (1 + math.cos(math.pi * self.step / self.last_step)) / 2
        images, labels = self.pictures.take(self.share.rows(batch), self.device)
        logits = self.parallel(self.shifted(images))
        loss = cross_entropy(logits, labels, reduction="sum")
        # DistributedDataParallel takes the mean of the processes' gradients: this makes it that of the whole batch,
        # also where the parts are not equal, or empty.
        (loss * (self.processes.count / len(batch))).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        hits = (logits.argmax(1) == labels).sum()
        return self.processes.sum(torch.tensor([loss, hits, len(labels), stopped], device=self.device))

    def shifted(self, images: torch.Tensor) -> torch.Tensor:
        """Move the pictures by up to one column: what is learnt then holds for other writers, too."""
        chance = torch.Generator().manual_seed(self.settings.seed + self.step)  # the same for all, also when resumed
        return images.roll(int(torch.randint(-1, 2, (), generator=chance)), dims=2)

    def tell(self, line: str) -> None:
        """Print a line, on the first host only."""
        if self.processes.rank == 0:
            print(line, flush=True)

    def save_checkpoint(self) -> None:
        """Keep the state, and the one before; the folder is there if the job was given one (T-52)."""
        if self.processes.rank or not job.CHECKPOINTS.is_dir():
            return
        network.save(self.state(), job.CHECKPOINTS / f"checkpoint-{self.step:08d}.pt")
        for old in checkpoints()[KEPT_CHECKPOINTS:]:
            old.unlink()

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run has to know; the order of the pictures follows from the step."""
        return {"step": self.step, "network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def resume(self) -> None:
        """Go on from the newest checkpoint, which the first host reads and gives to the others."""
        content = [read_checkpoint() if self.processes.rank == 0 else None]
        if self.processes.count > 1:
            dist.broadcast_object_list(content, device=self.device)
        if content[0] is None:
            return
        state = torch.load(io.BytesIO(content[0]), map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.tell(f"resumed from the checkpoint of step {self.step} of {self.last_step}")


def checkpoints() -> list[Path]:
    """Return the checkpoints' paths, the newest first."""
    paths = job.CHECKPOINTS.glob("checkpoint-*.pt")
    return sorted((path for path in paths if CHECKPOINT.fullmatch(path.name)), reverse=True)


def read_checkpoint() -> bytes | None:
    """Return the newest checkpoint that can be read; None if there is none."""
    for path in checkpoints():
        try:
            content = path.read_bytes()
            torch.load(io.BytesIO(content), weights_only=True)
        except Exception as error:
            print(f"warning: {path} cannot be read ({error}): trying an older one", file=sys.stderr, flush=True)
        else:
            return content
    return None


@torch.inference_mode()
def evaluate(model: network.Network, pictures: Pictures, device: torch.device) -> None:
    """Print what the model makes of the pictures that it has not seen."""
    loss = hits = 0.0
    for rows in torch.arange(len(pictures)).split(1024):
        images, labels = pictures.take(rows, device)
        logits = model(images)
        loss += cross_entropy(logits, labels, reduction="sum").item()
        hits += (logits.argmax(1) == labels).sum().item()
    print(f"test_loss={loss / len(pictures):.4f} test_accuracy={hits / len(pictures):.4f}", flush=True)


def work() -> None:
    """Train, and leave a model."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    settings = job.read_settings()
    pictures = read_pictures(job.channel_files("training"))
    processes = Processes.join(device)
    test = read_pictures(job.channel_files("test") if processes.rank == 0 else [])
    trainer = Trainer(settings, pictures, processes, device)
    trainer.resume()
    trainer.tell(f"{trainer.share.total} pictures to learn, {processes.count} processes on {device.type}")
    stopped = trainer.train(Path(os.environ["STOP_FILE"]))
    if processes.rank == 0:
        network.save({"network": trainer.network.state_dict()}, job.MODEL / network.FILE)
        print(f"model saved after step {trainer.step} of {trainer.last_step}", flush=True)
        if len(test) and not stopped:
            evaluate(trainer.network.eval(), test, device)
    if processes.count > 1:
        dist.destroy_process_group()


def main() -> int:
    """Do the work; returns the exit code."""
    try:
        work()
    except Exception as error:
        return job.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
