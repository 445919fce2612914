"""paths.toml as frozen records; every mistake in the file is reported in one line."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from fakedetect.core.calls import Call
from fakedetect.core.errors import UserError
from fakedetect.core.recipes import METHODS, RECIPES, Recipe
from fakedetect.core.shards import count_workers

FOLDERS = ("train-real", "train-fake", "test-real", "test-fake")
OPTIMIZERS = ("Adam", "AdamW", "SGD")
PRECISIONS = ("auto", "fp32", "bf16")
RECIPE_KEYS = ("recipe", "batch_size", "optimizer", "learning_rate", "weight_decay")


@dataclass(frozen=True)
class Training:
    """How the chosen model is trained, beside its recipe."""

    precision: str = "auto"
    workers: int | None = None
    pretrained: bool = True
    compile: bool = False
    seed: int = 42
    max_epochs: int = 50
    patience: int = 3
    validation_share: float = 0.1


@dataclass(frozen=True)
class Settings:
    """What paths.toml says, with every path made absolute.

    `call` words commands that act on them.
    """

    file: Path
    model: str
    original: Mapping[str, Path]
    resized: Mapping[str, Path]
    model_folders: Path
    bad_images: Path
    grad_cam: Path
    explore: Path
    training: Training
    recipes: Mapping[str, Recipe]
    call: Call

    @property
    def recipe(self) -> Recipe:
        """The chosen model's recipe."""
        return self.recipes[self.model]

    @property
    def model_folder(self) -> Path:
        """Where the chosen model's checkpoint and results are."""
        return self.model_folders / self.model

    @property
    def checkpoint(self) -> Path:
        """The chosen model's classifier_model.pth."""
        return self.model_folder / "classifier_model.pth"

    @property
    def workers(self) -> int:
        """How many processes or threads read pictures."""
        return count_workers(self.training.workers)

    def with_model(self, name: str) -> "Settings":
        """These settings with another model chosen.

        Raises:
            UserError: there is no such model.
        """
        if name not in self.recipes:
            raise UserError(
                f"Unknown model {name!r}{_nearest(name, self.recipes)}. "
                f"The models are: {', '.join(self.recipes)}."
            )
        return replace(self, model=name, call=replace(self.call, model=name))

    def command(self, *words: str) -> str:
        """A command for the user to type, with the --paths and --model of this call where it needs them."""
        return self.call.command(*words)

    def with_recipe(self, **changes: Any) -> "Settings":
        """These settings with other values in the chosen model's recipe."""
        recipe = replace(self.recipe, **changes)
        return replace(self, recipes={**self.recipes, self.model: recipe})


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


class _File:
    """The text of paths.toml, to say where in it a mistake is."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise UserError(f"There is no settings file {path}. Give one with --paths FILE.") from None
        except IsADirectoryError:
            raise UserError(f"{path} is a folder. Give a settings file with --paths FILE.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"Cannot read {path}: {error}. It has to be UTF-8 text.") from None

    def wrong(self, what: str, section: str = "", key: str = "") -> UserError:
        line = self._line(section, key)
        return UserError(f"{self.path}{f', line {line}' if line else ''}: {what}")

    def _line(self, section: str, key: str) -> int | None:
        current = ""
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[\s*([^\]]*?)\s*\]", line):
                current = header[1]
                if current == section and not key:
                    return number
            elif current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return number
        return None

    def parse(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"at line (\d+)", str(error))
            line = self.text.splitlines()[int(place[1]) - 1] if place else ""
            if place and re.search(r'"[^"]*\\[^"]*"', line):
                raise UserError(
                    f"{self.path}, line {place[1]}: a back-slash in double quotes starts an escape. "
                    "Write the path in single quotes, or with forward slashes."
                ) from None
            raise UserError(f"{self.path}: {error}. Fix that line.") from None


def _take(file: _File, table: Mapping[str, Any], section: str, key: str, kind: Any, default: Any) -> Any:
    """table[key], checked to be of the kind, or the default."""
    if key not in table:
        return default
    value = table[key]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        names = {
            str: "text in quotes",
            int: "a whole number",
            float: "a number",
            bool: "true or false",
        }
        raise file.wrong(f"{key} has to be {names[kind]}, not {value!r}.", section, key)
    return value


def _check_keys(file: _File, table: Any, section: str, known: Any) -> None:
    if not isinstance(table, dict):
        raise file.wrong(f"{section} has to be a section, written [{section}].", "", section)
    for key in table:
        if key not in known:
            raise file.wrong(
                f"unknown key {key!r}{_nearest(key, known)}. Known here: {', '.join(known)}.",
                section,
                key,
            )


def _path(file: _File, text: str, section: str, key: str) -> Path:
    try:
        expanded = os.path.expandvars(Path(text).expanduser())
    except RuntimeError:
        raise file.wrong(f"{key}: there is no home folder for {text!r}.", section, key) from None
    path = Path(os.path.abspath(file.path.parent / expanded))
    unset = re.search(r"\$\{?([A-Za-z_]\w*)", expanded)
    if unset and not path.exists():
        raise file.wrong(
            f"{key}: the environment variable {unset[1]} is not set, and there is no {path}.", section, key
        )
    return path


def _above(file: _File, section: str, key: str, value: Any, least: Any, strict: bool = False) -> Any:
    if value < least or (strict and value == least) or value != value:
        raise file.wrong(
            f"{key} has to be {'more than' if strict else 'at least'} {least}, not {value}.",
            section,
            key,
        )
    return value


def _recipe(file: _File, table: Mapping[str, Any], section: str, base: Recipe) -> Recipe:
    """`base` with the recipe keys that the section sets."""
    changes: dict[str, Any] = {}
    for key in RECIPE_KEYS:
        # A model's recipe has many values; the one of that name is the method of training.
        name = "method" if key == "recipe" else key
        value = _take(file, table, section, key, type(getattr(base, name)), None)
        if value is None:
            continue
        if key == "recipe" and value not in METHODS:
            raise file.wrong(f"recipe has to be one of {', '.join(METHODS)}.", section, key)
        if key == "optimizer" and value not in OPTIMIZERS:
            raise file.wrong(f"optimizer has to be one of {', '.join(OPTIMIZERS)}.", section, key)
        if key == "batch_size":
            _above(file, section, key, value, 1)
        if key in ("learning_rate", "weight_decay"):
            _above(file, section, key, value, 0.0, strict=key == "learning_rate")
        changes[name] = value
    return replace(base, **changes)


def _own_model(file: _File, name: str, table: Any) -> Recipe:
    section = f"models.{name}"
    _check_keys(file, table, section, ("timm", "weights", "mean", "std", *RECIPE_KEYS))
    if name == "all":
        raise file.wrong("'all' means every model; choose another name.", section)
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name in (".", ".."):
        raise file.wrong(
            f"the model's name {name!r} may hold letters, digits, '_', '-' and '.' only.", section
        )
    architecture = _take(file, table, section, "timm", str, None)
    if architecture is None:
        raise file.wrong(f'[{section}] needs timm = "…", the name of a model of timm.', section)
    changes: dict[str, Any] = {}
    if weights := _take(file, table, section, "weights", str, None):
        changes["weights"] = _path(file, weights, section, "weights")
    for key in ("mean", "std"):
        values = table.get(key)
        if values is None:
            continue
        if not (
            isinstance(values, list)
            and len(values) == 3
            and all(type(value) in (int, float) for value in values)
            and (key == "mean" or min(values) > 0)
        ):
            raise file.wrong(f"{key} has to be three numbers, as in [0.5, 0.5, 0.5].", section, key)
        changes[key] = tuple(float(value) for value in values)
    base = Recipe(name, "timm", architecture, 32, "AdamW", 2e-5, **changes)
    return _recipe(file, table, section, base)


def _training(file: _File, table: Mapping[str, Any]) -> Training:
    section = "training"
    names = [field.name for field in fields(Training)]
    _check_keys(file, table, section, (*names, *RECIPE_KEYS))
    values: dict[str, Any] = {}
    for field in fields(Training):
        if field.name == "workers":
            continue
        values[field.name] = _take(file, table, section, field.name, type(field.default), field.default)
    if values["precision"] not in PRECISIONS:
        raise file.wrong(f"precision has to be one of {', '.join(PRECISIONS)}.", section, "precision")
    if table.get("workers", "auto") != "auto":
        values["workers"] = _take(file, table, section, "workers", int, None)
        _above(file, section, "workers", values["workers"], 1)
    _above(file, section, "max_epochs", values["max_epochs"], 1)
    _above(file, section, "patience", values["patience"], 1)
    _above(file, section, "seed", values["seed"], 0)
    if not 0 < values["validation_share"] < 1:
        raise file.wrong("validation_share has to lie between 0 and 1.", section, "validation_share")
    return Training(**values)


def load_settings(path: Path) -> Settings:
    """Read a paths.toml.

    Raises:
        UserError: the file is missing or says something that cannot be meant.
    """
    file = _File(path.absolute())
    table = file.parse()
    _check_keys(file, table, "", ("model", "original", "resized", "outputs", "training", "models"))
    training = _training(file, table.get("training", {}))
    recipes = _recipes(file, table)
    outputs = {
        "model_folders": "model_folders",
        "bad_images": "list_of_bad_images.txt",
        "grad_cam": "grad-cam_images",
        "explore": "explore",
    }
    original = {name.replace("-", "_"): f"dataset/{name.replace('-', '/')}" for name in FOLDERS}
    places = _places(file, table, "original", original)
    written = _places(file, table, "outputs", outputs)
    model = _chosen(file, table, recipes)
    return Settings(
        file=file.path,
        model=model,
        original=dict(zip(FOLDERS, places.values(), strict=True)),
        resized=_places(
            file, table, "resized", {part: f"dataset/resized_{part}" for part in ("train", "test")}
        ),
        model_folders=written["model_folders"],
        bad_images=written["bad_images"],
        grad_cam=written["grad_cam"],
        explore=written["explore"],
        training=training,
        recipes=recipes,
        call=Call(file.path, model, model),
    )


def _recipes(file: _File, table: Mapping[str, Any]) -> dict[str, Recipe]:
    """The reference's models as [training] changes them, and the user's own of [models.*]."""
    recipes = {base.name: _recipe(file, table.get("training", {}), "training", base) for base in RECIPES}
    models = table.get("models", {})
    if not isinstance(models, dict):
        raise file.wrong("models has to be written as sections, [models.NAME].", "", "models")
    for name, own in models.items():
        if name in recipes:
            raise file.wrong(f"{name} is a model already; choose another name.", f"models.{name}")
        recipes[name] = _own_model(file, name, own)
    return recipes


def _places(
    file: _File, table: Mapping[str, Any], section: str, defaults: Mapping[str, str]
) -> dict[str, Path]:
    """The paths of a section, by key."""
    values = table.get(section, {})
    _check_keys(file, values, section, tuple(defaults))
    return {
        key: _path(file, _take(file, values, section, key, str, default), section, key)
        for key, default in defaults.items()
    }


def _chosen(file: _File, table: Mapping[str, Any], recipes: Mapping[str, Recipe]) -> str:
    model: str = _take(file, table, "", "model", str, RECIPES[0].name)
    if model not in recipes:
        raise file.wrong(
            f"unknown model {model!r}{_nearest(model, recipes)}. The models are: {', '.join(recipes)}.",
            "",
            "model",
        )
    return model
