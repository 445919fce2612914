"""How the course project does each job: one core decodes, float32, everything anew each time."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torchvision import transforms
from torchvision.datasets import ImageFolder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_epoch(folder: Path, batch_size: int, augment: bool) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch's batches, every picture decoded again."""
    steps = [transforms.RandomHorizontalFlip()] if augment else []
    prepare = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    loader = torch.utils.data.DataLoader(ImageFolder(str(folder), prepare), batch_size, shuffle=augment)
    yield from loader


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """One training step in float32; returns the loss."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def predict(model: nn.Module, folder: Path, batch_size: int) -> list[int]:
    """The predicted class of every picture, in ImageFolder's order."""
    model.eval()
    predicted: list[int] = []
    with torch.no_grad():
        for images, _ in load_epoch(folder, batch_size, augment=False):
            predicted += model(images).argmax(1).tolist()
    return predicted
