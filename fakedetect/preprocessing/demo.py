"""Option 9: pictures for a first run without a data set.

Real pictures are crops of the photographs that scikit-learn and matplotlib ship. Fake ones are
other crops passed through a small convolutional auto-encoder, whose transposed convolutions leave
the up-sampling traces of real generators (the idea of AutoGAN: Zhang, Karaman and Chang 2019,
'Detecting and Simulating Artifacts in GAN Fake Images'). A demonstration: what is learnt here says
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

COUNTS = {"train": 230, "test": 60}
"""Pictures of each class. A tenth of the training ones validate; fit-thresholds needs 19 of each class."""
STEPS = 150

PATHS = """\
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


def _photographs() -> list[np.ndarray]:
    """The photographs (H, W, 3) uint8 that are there without a download."""
    from matplotlib import cbook
    from sklearn.datasets import load_sample_images

    with Image.open(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))) as opened:
        hopper = np.asarray(opened.convert("RGB"))
    return [*(np.asarray(image) for image in load_sample_images().images), hopper]


def _region(photograph: np.ndarray, part: str) -> np.ndarray:
    """The part of a photograph that train or test crops come from; the two do not overlap."""
    turned = photograph.shape[0] > photograph.shape[1]
    image = photograph.swapaxes(0, 1) if turned else photograph
    cut = image.shape[1] - SIZE - 16
    region = image[:, :cut] if part == "train" else image[:, cut:]
    return region.swapaxes(0, 1) if turned else region


def _crops(regions: list[np.ndarray], random: np.random.Generator) -> Iterator[np.ndarray]:
    """Crops (224, 224, 3) uint8 without end, half of them mirrored."""
    while True:
        region = regions[random.integers(len(regions))]
        top = random.integers(region.shape[0] - SIZE + 1)
        left = random.integers(region.shape[1] - SIZE + 1)
        crop = region[top : top + SIZE, left : left + SIZE]
        yield crop[:, ::-1] if random.random() < 0.5 else crop


def _tensor(crops: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def _train_generator(
    crops: Iterator[np.ndarray], console: Console, random: np.random.Generator
) -> nn.Module:
    """An auto-encoder (B, 3, H, W) -> (B, 3, H, W) in 0 to 1 that reproduces the crops."""
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
    for _ in console.track(range(STEPS), STEPS, "generator"):
        top, left = random.integers(SIZE - 96, size=2)
        images = _tensor([next(crops) for _ in range(16)])[:, :, top : top + 96, left : left + 96]
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
    """Make the demo's pictures and its paths.toml in demo/, unless they are there."""
    folder = settings.file.parent / "demo"
    paths = folder / "paths.toml"
    folders = {name: folder / "original" / name.replace("-", "/") for name in FOLDERS}
    intro = "A demonstration with made-up pictures; it says nothing about real detectors.\n"
    if paths.is_file() and all(
        folders[name].is_dir() and len(list_images(folders[name])) == COUNTS[name.split("-")[0]]
        for name in FOLDERS
    ):
        return Outcome(f"{intro}The pictures already exist in {folder}.")
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    photographs = _photographs()
    streams = {
        part: _crops([_region(photograph, part) for photograph in photographs], random) for part in COUNTS
    }
    generator = _train_generator(streams["train"], console, random)
    for name in FOLDERS:
        part, label = name.split("-")
        for number in console.track(range(COUNTS[part]), COUNTS[part], name):
            crop = next(streams[part])
            if label == "fake":
                with torch.inference_mode():
                    made = generator(_tensor([crop]))[0].permute(1, 2, 0)
                crop = (made * 255).round().to(torch.uint8).numpy()
            _save_picture(folders[name] / f"{number + 1:04}.png", np.ascontiguousarray(crop))
    write_text(paths, PATHS)
    total = 2 * sum(COUNTS.values())
    return Outcome(f"{intro}{total} pictures made in {folder}.")
