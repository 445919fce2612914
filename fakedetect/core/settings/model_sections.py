"""The keys of paths.toml that describe models: the recipe keys of [training], and [models.*]."""

import os
import re
from collections.abc import Mapping, Set
from typing import Annotated, Any

from fakedetect.core.records.record import NotNegative, Positive
from fakedetect.core.settings.recipes import (
    METHODS,
    OPTIMIZERS,
    ROBUST,
    ROBUST_REMOVED,
    AtLeastOne,
    Interpolation,
    Means,
    Recipe,
    Size,
    Stds,
    one_of,
)
from fakedetect.core.settings.toml_file import Kinds, Text, TomlFile, name_section

RECIPE_KEYS: Kinds = {
    "recipe": Annotated[str, one_of(METHODS)],
    "batch_size": AtLeastOne,
    "optimizer": Annotated[str, one_of(OPTIMIZERS)],
    "learning_rate": Positive,
    "weight_decay": NotNegative,
}
INPUT_KEYS: Kinds = {"size": Size, "interpolation": Interpolation, "mean": Means, "std": Stds}
OWN_VALUES: Mapping[str, Any] = {"batch_size": 32, "optimizer": "AdamW", "learning_rate": 2e-5}
"""Unless the section says otherwise."""
OWN_KEYS: Kinds = {"timm": Text, "weights": Text, **INPUT_KEYS, **RECIPE_KEYS}

RESERVED = {
    "all": "means every model",
    "calibrated": "is reserved: check already has a column p_fake_calibrated",
}
"""Names that no model may have, and why."""


def pop_recipe(values: dict[str, Any]) -> dict[str, Any]:
    """Take the recipe keys out of a section's values; a Recipe has `recipe` by another name."""
    found = {key: values.pop(key) for key in RECIPE_KEYS if key in values}
    if "recipe" in found:
        found["method"] = found.pop("recipe")
    return found


def refuse_robust(file: TomlFile, values: Any, *place: str) -> None:
    """Refuse the recipe that was removed in version 0.6, by its name.

    Raises:
        UserError: a section's values name it.
    """
    if isinstance(values, dict) and values.get("recipe") == ROBUST:
        raise file.wrong(
            f'recipe in {name_section(*place)} is "{ROBUST}". {ROBUST_REMOVED}', *place, "recipe"
        )


def read_own_model(file: TomlFile, name: str, section: Any, taken: Set[str]) -> Recipe:
    """The model of a section of [models].

    Args:
        taken: the names of the other models, casefolded.

    Raises:
        UserError: its name cannot be used, or the section says something that cannot be meant.
    """
    place = "models", name
    title = name_section(*place)
    if not isinstance(section, dict):
        raise file.wrong(
            f"{name} in [models] belongs to one model. Write [models.my_model] above it.", *place
        )
    _check_name(file, name, taken)
    refuse_robust(file, section, *place)
    values = file.take("[models.NAME]", section, *place)
    if "timm" not in values:
        raise file.wrong(
            f'{title}: timm = "…" is missing. Add that line with the name of a timm model.', *place
        )
    weights = file.locate(values["weights"], *place, "weights") if "weights" in values else None
    # Unlike pathlib's, it is also False for a name that is too long.
    if weights is not None and not os.path.isfile(weights):  # noqa: PTH113
        raise file.wrong(f"weights in {title} names no file that exists: {weights}.", *place, "weights")
    said = {**OWN_VALUES, **pop_recipe(values), **{key: values[key] for key in INPUT_KEYS if key in values}}
    return Recipe(name, "timm", values["timm"], weights=str(weights) if weights else None, **said)


def _check_name(file: TomlFile, name: str, taken: Set[str]) -> None:
    """A model's name becomes that of its folder, on systems that tell no capitals apart too."""
    if name.casefold() in RESERVED:
        what = f"'{name}' {RESERVED[name.casefold()]}"
    elif name.casefold() in taken:
        what = f"a model named {name} already exists"
    elif not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        what = "a model's name has letters, digits, '_', '-' and '.', and does not start with '-' or '.'"
    else:
        return
    raise file.wrong(f"{name_section('models', name)}: {what}; choose another name.", "models", name)
