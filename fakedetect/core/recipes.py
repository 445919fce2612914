"""The models as small records of facts: what is built, and how it is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.model_input import REFERENCE_KEYS, InputKeys, ModelInput

CLASSES = ("fake", "real")
"""Names of the model's outputs: 0 is fake, 1 is real."""

REFERENCE, ROBUST, PROBE = METHODS = ("reference", "robust", "probe")
"""The ways of training: the course project's, the one that robust.py describes, and probe.py's."""

UNBALANCED, BY_CLASS, BY_SOURCE = BALANCES = ("none", "classes", "sources")
"""What of the training pictures is shown equally often: nothing, both classes, or every source of both."""

OPTIMIZERS = ("Adam", "AdamW", "SGD")

METHODS_IN_WORDS = {
    REFERENCE: "unmodified pictures, as in the course project",
    ROBUST: "degraded pictures too, to hold up better on pictures from the web",
    PROBE: "linear classifier on frozen features; evaluated on held-out sources",
}


def one_of(words: Sequence[str]) -> msgspec.Meta:
    """That a text is one of the words, and how messages say it."""
    listed = " or ".join(", ".join(f'"{word}"' for word in words).rsplit(", ", 1))
    return msgspec.Meta(pattern=rf"^({'|'.join(words)})\Z", description=listed)


AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1, description="a whole number from 1")]
LARGEST_SEED = 2**32 - 1
Seed = Annotated[
    int, msgspec.Meta(ge=0, le=LARGEST_SEED, description=f"a whole number from 0 to {LARGEST_SEED}")
]
"""What numpy takes."""

Balance = Annotated[str, one_of(BALANCES)]


@dataclass(frozen=True)
class Recipe:
    """A model, the values and the way (of METHODS) it is trained with, and the layer of Grad-CAM.

    `given` is what is said of its input. `place` is where paths.toml names the architecture, for messages,
    and `size_place` where it gives the size; '' for a model of the reference's.
    """

    name: str
    library: str
    architecture: str
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float = 1e-5
    given: InputKeys = REFERENCE_KEYS
    weights: Path | None = None
    layer: str | None = None
    method: str = REFERENCE
    place: str = ""
    size_place: str = ""

    @property
    def input(self) -> ModelInput:
        """What the model takes; Settings.recipe has asked timm for what paths.toml does not say."""
        known = self.given.known()
        assert known is not None, f"the input of {self.name} was not looked up"  # noqa: S101
        return known


RECIPES = (
    Recipe("resnet18", "torchvision", "resnet18", 256, "Adam", 5e-5, layer="layer4.1.conv2"),
    Recipe("resnet50", "torchvision", "resnet50", 128, "Adam", 5e-5, layer="layer4.2.conv3"),
    Recipe("vit_b_16", "timm", "vit_base_patch16_224", 96, "AdamW", 2e-5, layer="blocks.11.norm1"),
    Recipe(
        "convnext_v2_tiny", "timm", "convnextv2_tiny", 64, "AdamW", 2e-5, layer="stages.3.blocks.2.conv_dw"
    ),
    Recipe(
        "convnext_v2_base", "timm", "convnextv2_base", 32, "AdamW", 2e-5, layer="stages.3.blocks.2.conv_dw"
    ),
)
