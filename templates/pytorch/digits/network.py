"""The network, and the one file that is the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from digits.pictures import CLASSES

FILE = "model.pt"


class Network(nn.Sequential):
    """A small convolutional network: grey values from 0 to 255 in [n, 8, 8] -> logits in [n, 10].

    It normalises nothing over a batch, so that any number of hosts learns the same.
    """

    def __init__(self) -> None:
        super().__init__(
            Scale(),
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # [n, 32, 4, 4]
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, CLASSES),
        )


class Scale(nn.Module):
    """Grey values to one channel of -1 to 1: in the network, so that training and serving cannot differ."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [n, 8, 8] to [n, 1, 8, 8]."""
        return images.unsqueeze(1) / 127.5 - 1


def save(content: dict[str, Any], path: Path) -> None:
    """Write a file that is whole or not there: whoever copies it at any moment gets no half of it."""
    partial = path.with_name(f".{path.name}.partial")
    torch.save(content, partial)
    partial.replace(path)


def load(folder: Path, device: torch.device) -> Network:
    """Load the model from its folder. `weights_only`: a file from elsewhere cannot run code."""
    network = Network()
    network.load_state_dict(torch.load(folder / FILE, map_location=device, weights_only=True)["network"])
    network.to(device).eval()
    return network
