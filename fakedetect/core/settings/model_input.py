"""What a model takes: pictures of one size, scaled in one way, with their values normalised."""

import re
from dataclasses import dataclass
from pathlib import Path

SIZE = 224
"""Pixels a side of the pictures that the reference's models take."""

LARGEST_SIZE = 4096
"""Pixels a side, beyond which no model of timm's goes."""

LANCZOS, BICUBIC, BILINEAR = INTERPOLATIONS = ("lanczos", "bicubic", "bilinear")
"""Pillow's filters, each with its anti-aliasing."""

Channels = tuple[float, float, float]
"""One number for each of red, green and blue."""

LEAST_STD, MOST_STD, MOST_MEAN = 1e-4, 1e4, 1e4
"""Beyond what any model normalises its values with: 1/255 to 1, or 255 where they are not from 0 to 1."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Scaling:
    """How a picture is scaled for a model: the whole of it to `size` x `size` pixels, its shape not kept.

    The default is the reference's way.
    """

    size: int = SIZE
    interpolation: str = LANCZOS

    def __str__(self) -> str:
        return f"{self.size} x {self.size}, {self.interpolation}"

    def folder(self, plain: Path) -> Path:
        """Where such copies lie: in the folder of the reference's, `plain`, or beside it."""
        if self == REFERENCE_SCALING:
            return plain
        named = "" if self.interpolation == BICUBIC else f"_{self.interpolation}"
        return plain.with_name(f"{plain.name}_{self.size}{named}")


REFERENCE_SCALING = Scaling()


def find_copies(plain: Path) -> list[Path]:
    """The folders of copies of any size that are there, by the name of that of the reference's."""
    if not plain.parent.is_dir():
        return []
    name = re.compile(rf"{re.escape(plain.name)}(_\d+(_({'|'.join(INTERPOLATIONS)}))?)?")
    return sorted(
        folder for folder in plain.parent.iterdir() if name.fullmatch(folder.name) and folder.is_dir()
    )


@dataclass(frozen=True)
class ModelInput:
    """What a model takes: pictures scaled so, their values (from 0 to 1) less `mean`, divided by `std`."""

    scaling: Scaling = REFERENCE_SCALING
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.scaling.size

    def __str__(self) -> str:
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"{self.scaling}; mean {mean}, std {std}"
