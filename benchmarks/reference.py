"""The course project's implementation: one core decodes, in every epoch, and all is float32."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torchvision import transforms
from torchvision.datasets import ImageFolder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_epoch(folder: Path, batch_size: int, augment: bool) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Load the batches of one epoch, and decode every picture again."""
    steps = [transforms.RandomHorizontalFlip()] if augment else []
    prepare = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    loader = torch.utils.data.DataLoader(ImageFolder(str(folder), prepare), batch_size, shuffle=augment)
    yield from loader


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """Take one training step in float32; return the loss."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def predict(model: nn.Module, folder: Path, batch_size: int) -> list[int]:
    """Predict the class of every picture, in ImageFolder's order."""
    model.eval()
    predicted: list[int] = []
    with torch.no_grad():
        for images, _ in load_epoch(folder, batch_size, augment=False):
            predicted += model(images).argmax(1).tolist()
    return predicted
