"""Reproducible pictures for benchmarks, made from the photographs in scikit-learn."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES_PER_PNG = 50
"""One picture in this many is a PNG; the others are JPEGs."""

PICTURES_PER_CUT_FILE = 15
"""One picture in this many is cut off."""


def load_photographs() -> list[Image.Image]:
    """Load the photographs that scikit-learn includes."""
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(image) for image in load_sample_images().images]


def make_large(folder: Path, count: int) -> list[Path]:
    """Make pictures like those of a downloaded dataset: 1,000 to 2,600 pixels a side, some cut off."""
    random = np.random.default_rng(42)
    sources = load_photographs()
    paths = []
    for number in range(count):
        width, height = (int(side) for side in random.integers(1000, 2600, 2))
        source = sources[number % len(sources)]
        left, top = (int(random.integers(0, limit)) for limit in (source.width // 2, source.height // 2))
        crop = source.crop((left, top, left + source.width // 2, top + source.height // 2))
        picture = crop.resize((width, height), Image.Resampling.BICUBIC)
        # Enlarged pictures are too smooth; photographs have grain.
        grain = random.integers(-6, 7, (height, width, 1), dtype=np.int16)
        pixels = (np.asarray(picture, np.int16) + grain).clip(0, 255).astype(np.uint8)
        is_png = number % PICTURES_PER_PNG == PICTURES_PER_PNG - 1
        data = io.BytesIO()
        if is_png:
            Image.fromarray(pixels).save(data, "PNG", compress_level=1)
        else:
            Image.fromarray(pixels).save(data, "JPEG", quality=int(random.integers(80, 96)))
        content = data.getvalue()
        if number % PICTURES_PER_CUT_FILE == PICTURES_PER_CUT_FILE - 1:
            content = content[: len(content) * 2 // 3]
        path = folder / f"{number:04}.{'png' if is_png else 'jpg'}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def make_small(folder: Path, count: int) -> None:
    """Make `count` smooth JPEGs of 224 x 224 in fake/ and `count` grainy ones in real/."""
    random = np.random.default_rng(43)
    sources = load_photographs()
    for label in ("fake", "real"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            source = sources[number % len(sources)]
            left = int(random.integers(0, source.width - 224))
            top = int(random.integers(0, source.height - 224))
            pixels = np.asarray(source.crop((left, top, left + 224, top + 224)), np.int16)
            if label == "real":
                pixels = pixels + random.integers(-12, 13, pixels.shape, dtype=np.int16)
            picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            picture.save(folder / label / f"{number:05}.jpg", quality=75)
