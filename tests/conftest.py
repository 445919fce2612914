"""Pictures, settings and the program itself, for every test."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def paint(path: Path, seed: int, size: tuple[int, int] = (300, 260), mode: str = "RGB") -> Path:
    """Write a smooth random picture; the file's name says the format."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def run(*arguments: object, keys: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run menu.py as a user does, without a terminal."""
    return subprocess.run(
        [sys.executable, str(ROOT / "menu.py"), *map(str, arguments)],
        input=keys or "",
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "HF_HUB_OFFLINE": "1"},
        timeout=240,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a paths.toml for a tiny model; returns the paths.toml."""
    paths = tmp_path / "paths.toml"
    paths.write_text(
        '# mine\nmodel = "tiny"  # chosen\n\n[training]\npretrained = false\nprecision = "fp32"\n'
        'max_epochs = 2\nworkers = 2\n\n[models.tiny]\ntimm = "test_resnet"\nbatch_size = 8\n'
        "learning_rate = 3e-3\n",
        encoding="utf-8",
    )
    return paths


@pytest.fixture
def data(project: Path) -> Path:
    """The project with original pictures: smooth fakes and noisy reals."""
    random = np.random.default_rng(1)
    for part, count in (("train", 20), ("test", 6)):
        for number in range(count):
            folder = project.parent / "dataset" / part
            paint(folder / "fake" / "gan" / f"{number:04}.jpg", number)
            noise = random.integers(0, 256, (240, 250, 3), dtype=np.uint8)
            (folder / "real").mkdir(exist_ok=True)
            Image.fromarray(noise).save(folder / "real" / f"{number:04}.png")
    return project
