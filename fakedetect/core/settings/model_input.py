"""The input of a model: picture size, scaling and normalisation."""

import re
from dataclasses import dataclass
from pathlib import Path

SIZE = 224
"""Pixels per side of the input of the reference's models."""

LARGEST_SIZE = 4096
"""Pixels per side; no model of timm takes larger pictures."""

LANCZOS, BICUBIC, BILINEAR = INTERPOLATIONS = ("lanczos", "bicubic", "bilinear")
"""Pillow's filters, with their anti-aliasing."""

Channels = tuple[float, float, float]
"""One number each for red, green and blue."""

LEAST_STD, MOST_STD, MOST_MEAN = 1e-4, 1e4, 1e4
"""Wider than the normalisation of any model: std is 1/255 to 1, or 255 for values from 0 to 255."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Scaling:
    """How a picture is scaled: the whole picture to `size` x `size` pixels, without keeping its shape.

    The default is that of the reference.
    """

    size: int = SIZE
    interpolation: str = LANCZOS

    def __str__(self) -> str:
        return f"{self.size} x {self.size}, {self.interpolation}"

    def folder(self, plain: Path) -> Path:
        """Return the folder of copies with this scaling; `plain` is that of the reference's."""
        if self == REFERENCE_SCALING:
            return plain
        named = "" if self.interpolation == BICUBIC else f"_{self.interpolation}"
        return plain.with_name(f"{plain.name}_{self.size}{named}")


REFERENCE_SCALING = Scaling()


def find_copies(plain: Path) -> list[Path]:
    """Return the existing folders of copies of any size, given the reference's folder."""
    if not plain.parent.is_dir():
        return []
    name = re.compile(rf"{re.escape(plain.name)}(_\d+(_({'|'.join(INTERPOLATIONS)}))?)?")
    return sorted(
        folder for folder in plain.parent.iterdir() if name.fullmatch(folder.name) and folder.is_dir()
    )


@dataclass(frozen=True)
class ModelInput:
    """The input of a model: scaled pictures whose values (0 to 1) are normalised with `mean` and `std`."""

    scaling: Scaling = REFERENCE_SCALING
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD

    @property
    def size(self) -> int:
        """Pixels per side."""
        return self.scaling.size

    def __str__(self) -> str:
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"{self.scaling}; mean {mean}, std {std}"
