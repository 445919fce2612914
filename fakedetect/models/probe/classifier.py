"""The linear classifier of a probe, in numpy, and the file that contains it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import safetensors

from fakedetect.core.errors import UserError
from fakedetect.core.records.record import Count, NotNegative, Record
from fakedetect.core.settings.recipes import ALL_TOKENS, TOKENS, Size, one_of

TEST_PICTURE_COUNT = 20
"""Synthetic pictures whose margins a probe's file contains."""

LARGEST_PROBE_BYTES = 64 * 1024**2
"""A classifier on 500,000 features has 6 MB."""

FittedLayers = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=1, le=10_000)], ...], msgspec.Meta(min_length=1)
]


class ProbeFacts(Record, frozen=True, kw_only=True):
    """What a probe was fitted on: the backbone, the hash of its weights, its layers.

    `seed`: of the backbone's random weights; None for pretrained ones. `strength` is scikit-learn's C.
    `views` is the number of degraded views of each picture, in addition to the clean one. `size` is the
    size of the pictures if it differs from the reference's; files before 0.6 never have it. `tokens` and
    `centre_square` are as in ProbeOptions; files before 0.7 have neither.
    """

    architecture: str
    weights: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    layers: FittedLayers
    seed: Count | None = None
    strength: NotNegative
    views: Count
    size: Size | msgspec.UnsetType = msgspec.UNSET
    tokens: Annotated[str, one_of(TOKENS)] = ALL_TOKENS
    centre_square: bool = False

    @property
    def squares(self) -> int:
        """The number of squares of a picture's copy."""
        return 2 if self.centre_square else 1


@dataclass(frozen=True)
class LinearClassifier:
    """Linear classifier on standardised features: mean, scale and weights (D,) float32, bias () float32."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return logits (B, 2) float32 for features (B, D); each is half the margin."""
        half = (((features - self.mean) / self.scale * self.weights).sum(1) + self.bias) / 2
        return np.stack([half, -half], 1)


@dataclass(frozen=True)
class ProbeFile:
    """Content of a probe.safetensors; `test_margins` (20,) are the margins of the made-up pictures."""

    facts: ProbeFacts
    classifier: LinearClassifier
    test_margins: np.ndarray


def read_probe(path: Path) -> ProbeFile:
    """Read a probe.safetensors.

    Raises:
        UserError: the file is not valid.
    """
    refusal = UserError(f"{path} is truncated or not a probe. Download it again, or train again.")
    try:
        if path.stat().st_size > LARGEST_PROBE_BYTES:
            raise refusal
        with safetensors.safe_open(path, framework="np") as file:
            facts = msgspec.json.decode((file.metadata() or {}).get("probe", ""), type=ProbeFacts)
            # numpy lacks some of the other types.
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
        "test_margins": (TEST_PICTURE_COUNT,),
    }
    for name, shape in shapes.items():
        value = tensors.get(name)
        if value is None or value.shape != shape:
            raise refusal
        if not np.isfinite(value).all() or (name == "scale" and not (value > 0).all()):
            raise UserError(f"{path} contains NaN or other impossible values ({name}). Train again.")
    margins = tensors["test_margins"]
    return ProbeFile(
        facts, LinearClassifier(**{name: tensors[name] for name in list(shapes)[:-1]}), margins
    )
