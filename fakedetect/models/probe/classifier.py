"""The line of a probe as its file keeps it: what it was fitted on, and features to logits, in numpy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import safetensors

from fakedetect.core.errors import UserError
from fakedetect.core.records.record import Count, NotNegative, Record
from fakedetect.core.settings.recipes import Size

PICTURES = 20
"""Made-up ones whose margins a probe's file has."""

LARGEST = 64 * 1024**2
"""Bytes; the line of a network with 500,000 features is 6 MB."""

Layers = Annotated[tuple[Annotated[int, msgspec.Meta(ge=1, le=10_000)], ...], msgspec.Meta(min_length=1)]


class ProbeFacts(Record, frozen=True, kw_only=True):
    """What a probe was fitted on: the backbone, the hash of its weights, the blocks it reads.

    `seed`: the backbone has random weights, of this seed. `strength` is scikit-learn's C, `views` the
    degraded views of each picture beside the clean one. `size` is that of its pictures where it is not the
    reference's: a file has no such field otherwise, nor had any before 0.6.
    """

    architecture: str
    weights: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    layers: Layers
    seed: Count | None = None
    strength: NotNegative
    views: Count
    size: Size | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class Line:
    """A line over standardised features: mean, scale and weights (D,) float32, bias () float32."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def judge(self, features: np.ndarray) -> np.ndarray:
        """Features (B, D) -> logits (B, 2) float32, half the margin each."""
        half = (((features - self.mean) / self.scale * self.weights).sum(1) + self.bias) / 2
        return np.stack([half, -half], 1)


@dataclass(frozen=True)
class ProbeFile:
    """What a probe.safetensors holds; `test_margins` (20,) are those of the made-up pictures."""

    facts: ProbeFacts
    line: Line
    test_margins: np.ndarray


def read_probe(path: Path) -> ProbeFile:
    """The probe in a probe.safetensors.

    Raises:
        UserError: the file does not fit.
    """
    refusal = UserError(f"{path} is truncated or not a probe. Download it again, or train again.")
    try:
        if path.stat().st_size > LARGEST:
            raise refusal
        with safetensors.safe_open(path, framework="np") as file:
            facts = msgspec.json.decode((file.metadata() or {}).get("probe", ""), type=ProbeFacts)
            # Other types than float32 may be none of numpy's.
            names = [name for name in file.keys() if file.get_slice(name).get_dtype() == "F32"]  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, msgspec.MsgspecError, OSError, RecursionError, ValueError):
        raise refusal from None
    width = tensors["weights"].size if "weights" in tensors else 0
    shapes = {
        "mean": (width,),
        "scale": (width,),
        "weights": (width,),
        "bias": (),
        "test_margins": (PICTURES,),
    }
    for name, shape in shapes.items():
        value = tensors.get(name)
        if value is None or value.shape != shape:
            raise refusal
        if not np.isfinite(value).all() or (name == "scale" and not (value > 0).all()):
            raise UserError(f"{path} contains NaN or other impossible values ({name}). Train again.")
    margins = tensors["test_margins"]
    return ProbeFile(facts, Line(**{name: tensors[name] for name in list(shapes)[:-1]}), margins)
