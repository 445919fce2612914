"""The sections of paths.toml that describe models: [training]'s recipe keys, and [models.*]."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from fakedetect.core.model_input import (
    INTERPOLATIONS,
    LARGEST,
    LEAST_STD,
    MOST_MEAN,
    MOST_STD,
    SIZE,
    Channels,
    InputKeys,
)
from fakedetect.core.recipes import METHODS, RECIPES, ROBUST, ROBUST_REMOVED, Recipe
from fakedetect.core.toml_section import Section

OPTIMIZERS = ("Adam", "AdamW", "SGD")
RECIPE_KEYS = ("recipe", "batch_size", "optimizer", "learning_rate", "weight_decay")

OWN = "[models.NAME]"
OWN_KEYS = ("timm", "weights", *(field.name for field in fields(InputKeys)), *RECIPE_KEYS)
"""The keys of such a section."""

RESERVED = {
    "all": "means every model",
    "calibrated": "is reserved: check already has a column p_fake_calibrated",
}
"""Names that no model may have, and why."""


def read_recipes(top: Section, keys: Mapping[str, Sequence[str]]) -> dict[str, Recipe]:
    """The reference's models as [training] changes them, and the user's own of [models.*].

    Args:
        keys: those of each section by its title, for keys that stand in a wrong one.

    Raises:
        UserError: a section says something that cannot be meant.
    """
    training = top.section("training")
    recipes = {base.name: _recipe(training, base) for base in RECIPES}
    models = top.section("models")
    for name, value in models.values.items():
        if not isinstance(value, (dict, list)):
            raise models.wrong(name, "belongs to one model. Write [models.my_model] above it.")
        section = models.section(name)
        _check_name(section, name, recipes)
        section.check_keys(OWN_KEYS, keys)
        recipes[name] = _own_model(section, name)
    return recipes


def find_idle_keys(top: Section) -> dict[str, tuple[str, ...]]:
    """For each of [models.*] the recipe keys that stand under [training] alone."""
    given = [key for key in RECIPE_KEYS if key in top.section("training").values]
    models = top.section("models")
    return {
        name: tuple(key for key in given if key not in models.section(name).values)
        for name in models.values
    }


def _check_name(section: Section, name: str, others: Mapping[str, Recipe]) -> None:
    """A model's name becomes that of its folder, on systems that tell no capitals apart too."""
    if name.casefold() in RESERVED:
        raise section.wrong_whole(f"'{name}' {RESERVED[name.casefold()]}; choose another name.")
    if name.casefold() in {other.casefold() for other in others}:
        raise section.wrong_whole(f"a model named {name} already exists; choose another name.")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise section.wrong_whole(
            "a model's name may contain only letters, digits, '_', '-' and '.', and not start with '-' "
            "or '.'."
        )
    for key, value in section.values.items():
        if isinstance(value, dict):
            raise section.wrong_whole(f'a dot in a name needs quotes. Write [models."{name}.{key}"]')


def _own_model(section: Section, name: str) -> Recipe:
    architecture = section.take("timm", str, None)
    if architecture is None:
        raise section.wrong_whole('timm = "…" is missing. Add that line with the name of a timm model.')
    weights = section.take_path("weights", None)
    if weights is not None and not weights.is_file():
        what = "is a folder" if weights.is_dir() else "does not exist"
        raise section.wrong(
            "weights", f"names a file that {what}: {weights}. Name the file, or remove the line."
        )
    base = Recipe(
        name=name,
        library="timm",
        architecture=architecture,
        batch_size=32,
        optimizer="AdamW",
        learning_rate=2e-5,
        given=_input(section),
        weights=weights,
        place=_name_line(section, "timm"),
        size_place=_name_line(section, "size") if "size" in section.values else "",
    )
    return _recipe(section, base)


def _name_line(section: Section, key: str) -> str:
    """'paths.toml, line 7: timm in [models.mine]'."""
    line = section.file.find_line((*section.place, key))
    return f"{section.file.path}, line {line}: {key} in {section.title}"


def _input(section: Section) -> InputKeys:
    size = section.take_number("size", int, SIZE, 1)
    if size > LARGEST:
        raise section.wrong("size", f"must be at most {LARGEST:,} pixels a side, not {size:,}.")
    return InputKeys(
        size=size if "size" in section.values else None,
        interpolation=section.take_word("interpolation", INTERPOLATIONS, None),
        mean=_three(section, "mean"),
        std=_three(section, "std"),
    )


def _three(section: Section, key: str) -> Channels | None:
    """A number for red, green and blue each; None where the file does not set it."""
    if key not in section.values:
        return None
    values = section.values[key]
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    least, most = (LEAST_STD, MOST_STD) if key == "std" else (-MOST_MEAN, MOST_MEAN)
    if not numbers or len(values) != 3:
        raise section.wrong(key, f"must be three numbers. Write {key} = [0.5, 0.5, 0.5]")
    # Whole numbers of any size are compared, where a conversion would overflow; nan compares false.
    if not all(least <= value <= most for value in values):
        shown = f"{least:,g} to {most:,g}"
        raise section.wrong(key, f"must be three numbers from {shown}. Write {key} = [0.5, 0.5, 0.5]")
    red, green, blue = map(float, values)
    return red, green, blue


def _recipe(section: Section, base: Recipe) -> Recipe:
    """`base` with the recipe keys that the section sets."""
    if section.values.get("recipe") == ROBUST:
        raise section.wrong("recipe", f'is "{ROBUST}". {ROBUST_REMOVED}')
    return replace(
        base,
        method=section.take_word("recipe", METHODS, base.method),
        batch_size=section.take_number("batch_size", int, base.batch_size, 1),
        optimizer=section.take_word("optimizer", OPTIMIZERS, base.optimizer),
        learning_rate=section.take_number("learning_rate", float, base.learning_rate, 0, above=True),
        weight_decay=section.take_number("weight_decay", float, base.weight_decay, 0),
    )
