"""Option 9: made-up pictures for a first run without a dataset.

Real pictures are crops of the photographs that scikit-learn and matplotlib ship. Fake ones are
other crops passed through a small convolutional auto-encoder, whose transposed convolutions leave
the up-sampling traces of real generators (the idea of AutoGAN: Zhang, Karaman and Chang 2019,
'Detecting and Simulating Artifacts in GAN Fake Images'). This is a demonstration: its accuracy says
nothing about real detectors.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from fakedetect.core.files import atomic_write, write_text
from fakedetect.core.settings.model_input import SIZE
from fakedetect.core.settings.recipes import SEED
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console, Outcome
from fakedetect.images.listing import list_images

PICTURE_COUNTS = {"train": 230, "test": 60}
"""Pictures of each class. A tenth of the training ones validate; fit-thresholds needs 19 of each class."""

TRAINING_STEPS = 150
"""Optimiser steps of the auto-encoder."""

PATHS_TOML = """\
# The demonstration, made by the command `demo`. Delete this folder to start over.
model = "resnet18"

[original]
train_real = "original/train/real"
train_fake = "original/train/fake"
test_real = "original/test/real"
test_fake = "original/test/fake"

[resized]
train = "resized_train"
test = "resized_test"

[outputs]
model_folders = "model_folders"
bad_images = "list_of_bad_images.txt"
grad_cam = "grad-cam_images"

# Random weights, so that it works without internet, with a learning rate to match.
[training]
pretrained = false
max_epochs = 3
batch_size = 16
learning_rate = 3e-4
"""


def _load_photographs() -> list[np.ndarray]:
    """Load the photographs (H, W, 3) uint8 that need no download."""
    from matplotlib import cbook
    from sklearn.datasets import load_sample_images

    with Image.open(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))) as opened:
        hopper = np.asarray(opened.convert("RGB"))
    return [*(np.asarray(image) for image in load_sample_images().images), hopper]


def _cut_region(photograph: np.ndarray, part: str) -> np.ndarray:
    """Return the part of a photograph for train or test crops; the two do not overlap."""
    is_portrait = photograph.shape[0] > photograph.shape[1]
    image = photograph.swapaxes(0, 1) if is_portrait else photograph
    cut = image.shape[1] - SIZE - 16
    region = image[:, :cut] if part == "train" else image[:, cut:]
    return region.swapaxes(0, 1) if is_portrait else region


def _draw_crops(regions: list[np.ndarray], random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield random crops (224, 224, 3) uint8 endlessly, half of them mirrored."""
    while True:
        region = regions[random.integers(len(regions))]
        top = random.integers(region.shape[0] - SIZE + 1)
        left = random.integers(region.shape[1] - SIZE + 1)
        crop = region[top : top + SIZE, left : left + SIZE]
        yield crop[:, ::-1] if random.random() < 0.5 else crop


def _to_tensor(crops: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def _train_generator(
    crops: Iterator[np.ndarray], console: Console, random: np.random.Generator
) -> nn.Module:
    """Train an auto-encoder (B, 3, H, W) -> (B, 3, H, W), 0 to 1, to reproduce the crops."""
    model = nn.Sequential(
        nn.Conv2d(3, 24, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(24, 48, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(48, 24, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(24, 3, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in console.track(range(TRAINING_STEPS), TRAINING_STEPS, "generator"):
        top, left = random.integers(SIZE - 96, size=2)
        images = _to_tensor([next(crops) for _ in range(16)])[:, :, top : top + 96, left : left + 96]
        optimizer.zero_grad()
        nn.functional.mse_loss(model(images), images).backward()
        optimizer.step()
    return model.eval()


def _save_picture(path: Path, pixels: np.ndarray) -> None:
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, format="PNG", compress_level=1)
    with atomic_write(path) as file:
        file.write(picture.getvalue())


def make_demo(settings: Settings, console: Console) -> Outcome:
    """Create the pictures and a paths.toml in demo/, unless they exist."""
    folder = settings.file.parent / "demo"
    paths = folder / "paths.toml"
    folders = {name: folder / "original" / name.replace("-", "/") for name in FOLDERS}
    intro = "A demonstration with made-up pictures; it says nothing about real detectors.\n"
    if paths.is_file() and all(
        folders[name].is_dir() and len(list_images(folders[name])) == PICTURE_COUNTS[name.split("-")[0]]
        for name in FOLDERS
    ):
        return Outcome(f"{intro}The pictures already exist in {folder}.")
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    photographs = _load_photographs()
    streams = {
        part: _draw_crops([_cut_region(photograph, part) for photograph in photographs], random)
        for part in PICTURE_COUNTS
    }
    generator = _train_generator(streams["train"], console, random)
    for name in FOLDERS:
        part, label = name.split("-")
        for number in console.track(range(PICTURE_COUNTS[part]), PICTURE_COUNTS[part], name):
            crop = next(streams[part])
            if label == "fake":
                with torch.inference_mode():
                    generated = generator(_to_tensor([crop]))[0].permute(1, 2, 0)
                crop = (generated * 255).round().to(torch.uint8).numpy()
            _save_picture(folders[name] / f"{number + 1:04}.png", np.ascontiguousarray(crop))
    write_text(paths, PATHS_TOML)
    total = 2 * sum(PICTURE_COUNTS.values())
    return Outcome(f"{intro}{total} pictures made in {folder}.")
