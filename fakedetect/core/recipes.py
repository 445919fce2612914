"""The models as small records of facts: what is built, and how it is trained."""

from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.model_input import REFERENCE_KEYS, InputKeys, ModelInput

CLASSES = ("fake", "real")
"""Names of the model's outputs: 0 is fake, 1 is real."""

REFERENCE, PROBE = METHODS = ("reference", "probe")
"""The ways of training: the course project's, and probe.py's."""

ROBUST = "robust"
"""A way of training until version 0.6: paths.toml, commands and files of runs may still name it."""

ROBUST_REMOVED = "The robust recipe was removed. Use degrade = true under [training], or the probe recipe."

UNBALANCED, BY_CLASS, BY_SOURCE = BALANCES = ("none", "classes", "sources")
"""What of the training pictures is shown equally often: nothing, both classes, or every source of both."""

METHODS_IN_WORDS = {
    REFERENCE: "unmodified pictures, as in the course project",
    PROBE: "linear classifier on frozen features; evaluated on held-out sources",
}


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
