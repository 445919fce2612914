"""Recipes: how each model is built and trained, and their keys in paths.toml."""

import os
import re
from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Any, Self

import msgspec

from fakedetect.core.records.record import NotNegative, Positive, Record
from fakedetect.core.settings.model_input import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    INTERPOLATIONS,
    LANCZOS,
    LARGEST_SIZE,
    LEAST_STD,
    MOST_MEAN,
    MOST_STD,
    SIZE,
    ModelInput,
    Scaling,
)
from fakedetect.core.settings.toml_file import Kinds, Text, TomlFile, name_section

CLASSES = ("fake", "real")
"""Names of the model outputs: 0 is fake, 1 is real."""

REFERENCE, PROBE = METHODS = ("reference", "probe")
"""Training methods: the course project's, and a linear classifier on frozen features."""

ROBUST = "robust"
"""A training method until version 0.6; paths.toml, commands and run files may still name it."""

ROBUST_REMOVED = "The robust recipe was removed. Use degrade = true under [training], or the probe recipe."

SEED = 42
"""The default training seed, and the seed of every other random choice."""

UNBALANCED, BY_CLASS, BY_SOURCE = BALANCES = ("none", "classes", "sources")
"""What the sampler balances: nothing, both classes, or every source of both."""

OPTIMIZERS = ("Adam", "AdamW", "SGD")

CLASS_TOKEN, ALL_TOKENS = TOKENS = ("class", "all")
"""What a probe reads of a transformer's block: its class token, or also the mean and deviation of its patch
tokens."""

METHOD_DESCRIPTIONS = {
    REFERENCE: "unmodified pictures, as in the course project",
    PROBE: "linear classifier on frozen features; evaluated on held-out sources",
}


def one_of(words: Sequence[str]) -> msgspec.Meta:
    """Return the constraint that a text is one of the words, with its description for messages."""
    listed = " or ".join(", ".join(f'"{word}"' for word in words).rsplit(", ", 1))
    return msgspec.Meta(pattern=rf"^({'|'.join(words)})\Z", description=listed)


AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1, description="a whole number from 1")]
LARGEST_SEED = 2**32 - 1
"""The largest seed that numpy accepts."""
Seed = Annotated[
    int, msgspec.Meta(ge=0, le=LARGEST_SEED, description=f"a whole number from 0 to {LARGEST_SEED}")
]
Balance = Annotated[str, one_of(BALANCES)]

Size = Annotated[
    int, msgspec.Meta(ge=1, le=LARGEST_SIZE, description=f"a whole number from 1 to {LARGEST_SIZE:,}")
]
Mean = Annotated[float, msgspec.Meta(ge=-MOST_MEAN, le=MOST_MEAN)]
Means = Annotated[
    tuple[Mean, Mean, Mean],
    msgspec.Meta(
        description=f"three numbers from {-MOST_MEAN:,g} to {MOST_MEAN:,g}, as in [0.5, 0.5, 0.5]"
    ),
]
Std = Annotated[float, msgspec.Meta(ge=LEAST_STD, le=MOST_STD)]
Stds = Annotated[
    tuple[Std, Std, Std],
    msgspec.Meta(description=f"three numbers from {LEAST_STD:,g} to {MOST_STD:,g}: [0.5, 0.5, 0.5]"),
]
"""Means and standard deviations are for red, green and blue."""

Interpolation = Annotated[str, one_of(INTERPOLATIONS)]


class Input(Record, frozen=True, kw_only=True):
    """The input of a model as far as it is known; None for unknown values.

    paths.toml, the training record and timm use the same names.
    """

    size: Size | None = None
    interpolation: Interpolation | None = None
    mean: Means | None = None
    std: Stds | None = None

    @classmethod
    def of(cls, record: "Input") -> "Input":
        """Return only the input of a record with further fields."""
        return cls(**{key: getattr(record, key) for key in cls.__struct_fields__})

    def as_model_input(self) -> ModelInput | None:
        """Return the complete input, or None. Pictures of the reference's size are scaled as in the
        reference."""
        interpolation = self.interpolation or (LANCZOS if self.size == SIZE else None)
        if self.size is None or interpolation is None or self.mean is None or self.std is None:
            return None
        return ModelInput(Scaling(self.size, interpolation), self.mean, self.std)

    def or_else(self, other: "Input") -> Self:
        """Return this record with its unknown input values taken from `other`."""
        missing = [key for key in Input.__struct_fields__ if getattr(self, key) is None]
        return msgspec.structs.replace(self, **{key: getattr(other, key) for key in missing})


REFERENCE_INPUT = Input(size=SIZE, interpolation=LANCZOS, mean=IMAGENET_MEAN, std=IMAGENET_STD)


class Recipe(Input, frozen=True):
    """A model, its hyperparameters, its training method (one of METHODS) and its Grad-CAM layer.

    training.json contains it; `method` is `recipe` there, and version 0.4 did not write it. Only the
    reference's models have a `layer`; for [models.*] it is chosen automatically.
    """

    name: str
    library: str
    architecture: str
    batch_size: AtLeastOne
    optimizer: str
    learning_rate: Positive
    weight_decay: NotNegative = 1e-5
    weights: str | None = None
    layer: str | None = None
    method: str = msgspec.field(default=REFERENCE, name="recipe")

    @property
    def input(self) -> ModelInput:
        """The complete model input; Settings.recipe has looked up what paths.toml does not set."""
        known = self.as_model_input()
        assert known is not None, f"the input of {self.name} was not looked up"  # noqa: S101
        return known

    @property
    def section(self) -> str:
        """The section of paths.toml that defines the model, for messages; '' for the reference's
        models."""
        return f"[models.{self.name}]" if self.layer is None else ""


RECIPES = tuple(
    recipe.or_else(REFERENCE_INPUT)
    for recipe in (
        Recipe("resnet18", "torchvision", "resnet18", 256, "Adam", 5e-5, layer="layer4.1.conv2"),
        Recipe("resnet50", "torchvision", "resnet50", 128, "Adam", 5e-5, layer="layer4.2.conv3"),
        Recipe("vit_b_16", "timm", "vit_base_patch16_224", 96, "AdamW", 2e-5, layer="blocks.11.norm1"),
        Recipe(
            "convnext_v2_tiny",
            "timm",
            "convnextv2_tiny",
            64,
            "AdamW",
            2e-5,
            layer="stages.3.blocks.2.conv_dw",
        ),
        Recipe(
            "convnext_v2_base",
            "timm",
            "convnextv2_base",
            32,
            "AdamW",
            2e-5,
            layer="stages.3.blocks.2.conv_dw",
        ),
    )
)

RECIPE_KEYS: Kinds = {
    "recipe": Annotated[str, one_of(METHODS)],
    "batch_size": AtLeastOne,
    "optimizer": Annotated[str, one_of(OPTIMIZERS)],
    "learning_rate": Positive,
    "weight_decay": NotNegative,
}
INPUT_KEYS: Kinds = {"size": Size, "interpolation": Interpolation, "mean": Means, "std": Stds}
OWN_MODEL_DEFAULTS: Mapping[str, Any] = {"batch_size": 32, "optimizer": "AdamW", "learning_rate": 2e-5}
"""Defaults of a [models.*] section."""
OWN_MODEL_KEYS: Kinds = {"timm": Text, "weights": Text, **INPUT_KEYS, **RECIPE_KEYS}

RESERVED = {
    "all": "means every model",
    "raw": "is reserved: check already has a column p_fake_raw",
    "calibrated": "is reserved: check had a column p_fake_calibrated",
}
"""Forbidden model names, and why."""


def pop_recipe(values: dict[str, Any]) -> dict[str, Any]:
    """Remove the recipe keys from a section's values and return them; `recipe` becomes `method`."""
    found = {key: values.pop(key) for key in RECIPE_KEYS if key in values}
    if "recipe" in found:
        found["method"] = found.pop("recipe")
    return found


def refuse_robust(file: TomlFile, values: Any, *place: str) -> None:
    """Raise an error for the recipe that was removed in version 0.6.

    Raises:
        UserError: the section names it.
    """
    if isinstance(values, dict) and values.get("recipe") == ROBUST:
        raise file.error_at(
            f'recipe in {name_section(*place)} is "{ROBUST}". {ROBUST_REMOVED}', *place, "recipe"
        )


def read_own_model(file: TomlFile, name: str, section: Any, taken: Set[str]) -> Recipe:
    """Read the model of a [models.*] section.

    Args:
        taken: the casefolded names of the other models.

    Raises:
        UserError: the name or a value of the section is invalid.
    """
    place = "models", name
    title = name_section(*place)
    if not isinstance(section, dict):
        raise file.error_at(
            f"{name} in [models] belongs to one model. Write [models.my_model] above it.", *place
        )
    _check_name(file, name, taken)
    refuse_robust(file, section, *place)
    values = file.take("[models.NAME]", section, *place)
    if "timm" not in values:
        raise file.error_at(
            f'{title}: timm = "…" is missing. Add that line with the name of a timm model.', *place
        )
    weights = file.locate(values["weights"], *place, "weights") if "weights" in values else None
    # Unlike Path.is_file(), it is also False for a name that is too long.
    if weights is not None and not os.path.isfile(weights):  # noqa: PTH113
        raise file.error_at(f"weights in {title} names no file that exists: {weights}.", *place, "weights")
    found = {
        **OWN_MODEL_DEFAULTS,
        **pop_recipe(values),
        **{key: values[key] for key in INPUT_KEYS if key in values},
    }
    return Recipe(name, "timm", values["timm"], weights=str(weights) if weights else None, **found)


def _check_name(file: TomlFile, name: str, taken: Set[str]) -> None:
    """Check a model's name, which becomes a folder name on file systems that ignore case too."""
    if name.casefold() in RESERVED:
        what = f"'{name}' {RESERVED[name.casefold()]}"
    elif name.casefold() in taken:
        what = f"a model named {name} already exists"
    elif not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        what = "a model's name has letters, digits, '_', '-' and '.', and does not start with '-' or '.'"
    else:
        return
    raise file.error_at(f"{name_section('models', name)}: {what}; choose another name.", "models", name)
