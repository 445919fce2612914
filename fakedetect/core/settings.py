"""paths.toml as frozen records; every mistake in the file is reported in one line."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from fakedetect.core.calls import Call
from fakedetect.core.errors import UserError, did_you_mean
from fakedetect.core.installation import shipped_folder
from fakedetect.core.model_input import ModelInput
from fakedetect.core.model_sections import OWN, OWN_KEYS, RECIPE_KEYS, find_idle_keys, read_recipes
from fakedetect.core.recipes import BALANCES, RECIPES, UNBALANCED, Recipe
from fakedetect.core.shards import count_workers
from fakedetect.core.toml_file import TomlFile
from fakedetect.core.toml_section import Section

FOLDERS = ("train-real", "train-fake", "test-real", "test-fake")
LARGEST_SEED = 2**32 - 1
"""What numpy takes."""
PRECISIONS = ("auto", "fp32", "bf16")
AUTO, TORCH, OPENVINO = ENGINES = ("auto", "torch", "openvino")
"""What computes the answers of a trained model."""
ORIGINAL = {name.replace("-", "_"): f"dataset/{name.replace('-', '/')}" for name in FOLDERS}
RESIZED = {part: f"dataset/resized_{part}" for part in ("train", "test")}
OUTPUTS = {
    "model_folders": "model_folders",
    "bad_images": "list_of_bad_images.txt",
    "grad_cam": "grad-cam_images",
    "explore": "explore",
}
"""Where things are unless paths.toml says otherwise."""


@dataclass(frozen=True)
class ProbeOptions:
    """What the probe recipe looks at: the backbone's blocks by number (none: all), degraded views of each
    picture beside the clean one, scikit-learn's C (None: the best of several), and pictures at most."""

    layers: tuple[int, ...] = ()
    degraded_views: int = 1
    strength: float | None = None
    max_pictures: int = 12_000


@dataclass(frozen=True)
class Inference:
    """How a trained model is asked: the engine, of ENGINES."""

    engine: str = AUTO


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
    save_minutes: float = 10.0
    balance: str = UNBALANCED
    degrade: bool = False


KEYS: Mapping[str, tuple[str, ...]] = {
    "[]": ("model", "original", "resized", "outputs", "training", "inference", "probe", "models"),
    "[original]": tuple(ORIGINAL),
    "[resized]": tuple(RESIZED),
    "[outputs]": tuple(OUTPUTS),
    "[training]": (*(field.name for field in fields(Training)), *RECIPE_KEYS),
    "[inference]": tuple(field.name for field in fields(Inference)),
    "[probe]": tuple(field.name for field in fields(ProbeOptions)),
    OWN: OWN_KEYS,
}
"""The keys of each section by its title; those of the file itself stand above the first section."""


@dataclass(frozen=True)
class Settings:
    """What paths.toml says, with every path made absolute.

    `plain_copies`: the folders of copies for the reference's models, as [resized] names them. `written`:
    the recipes as far as the file says them. `idle`: for a model of [models.*] the recipe keys under
    [training] that have no effect on it. `call` words commands that act on them.
    """

    file: Path
    model: str
    original: Mapping[str, Path]
    plain_copies: Mapping[str, Path]
    model_folders: Path
    bad_images: Path
    grad_cam: Path
    explore: Path
    training: Training
    inference: Inference
    probe: ProbeOptions
    written: Mapping[str, Recipe]
    idle: Mapping[str, tuple[str, ...]]
    call: Call

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models."""
        return tuple(self.written)

    @cached_property
    def recipe(self) -> Recipe:
        """The chosen model's recipe; what the file does not say of its input is as timm says it.

        Raises:
            UserError: timm has no such model, or its pictures are not square.
        """
        recipe = self.written[self.model]
        if recipe.given.known():
            return recipe
        from fakedetect.core.known_inputs import look_up_input

        said = look_up_input(self.model_folders, recipe.architecture, recipe.place)
        given = said.fill(recipe.given)
        if given.size is None:
            raise UserError(
                f"{recipe.place}: {recipe.architecture} expects non-square input, which fakedetect does "
                "not support. Set a square size below it, for example size = 768."
            )
        return replace(recipe, given=given)

    def recall_input(self) -> ModelInput | None:
        """What the chosen model takes; None where timm would have to be loaded to say it."""
        recipe = self.written[self.model]
        if known := recipe.given.known():
            return known
        from fakedetect.core.known_inputs import recall_input

        said = recall_input(self.model_folders, recipe.architecture)
        return said.fill(recipe.given).known() if said else None

    @property
    def resized(self) -> Mapping[str, Path]:
        """The folders of the copies that the chosen model takes, by 'train' and 'test'."""
        scaling = self.recipe.input.scaling
        return {part: scaling.folder(plain) for part, plain in self.plain_copies.items()}

    @property
    def model_folder(self) -> Path:
        """Where the chosen model's checkpoint and results are."""
        own = self.model_folders / self.model
        return own if own.is_dir() else shipped_folder(self.model) or own

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
        if name not in self.written:
            raise UserError(
                f"Unknown model {name!r}{did_you_mean(name, self.written)}. "
                f"The models are: {', '.join(self.written)}."
            )
        return replace(self, model=name, call=replace(self.call, model=name))

    def command(self, *words: str) -> str:
        """A command for the user to type, with the --paths and --model of this call where it needs them."""
        return self.call.command(*words)

    def with_recipe(self, **changes: Any) -> "Settings":
        """These settings with other values in the chosen model's recipe."""
        recipe = replace(self.written[self.model], **changes)
        return replace(self, written={**self.written, self.model: recipe})


def load_settings(path: Path, content: Path | None = None) -> Settings:
    """Read a paths.toml.

    Args:
        content: what is read in its place, as though it lay there; none: the file itself.

    Raises:
        UserError: the file is missing or says something that cannot be meant.
    """
    file = TomlFile(path.absolute(), content)
    top = Section(file, file.parse())
    top.check_keys(KEYS["[]"], KEYS)
    training = _training(top.section("training"))
    inference = _inference(top.section("inference"))
    probe = _probe(top.section("probe"))
    recipes = read_recipes(top, KEYS)
    original = _places(top.section("original"), ORIGINAL)
    outputs = _places(top.section("outputs"), OUTPUTS)
    model = _chosen(top, recipes)
    return Settings(
        file=file.path,
        model=model,
        original=dict(zip(FOLDERS, original.values(), strict=True)),
        plain_copies=_places(top.section("resized"), RESIZED),
        model_folders=outputs["model_folders"],
        bad_images=outputs["bad_images"],
        grad_cam=outputs["grad_cam"],
        explore=outputs["explore"],
        training=training,
        inference=inference,
        probe=probe,
        written=recipes,
        idle=find_idle_keys(top),
        call=Call(file.path, model, model),
    )


def _training(section: Section) -> Training:
    section.check_keys(KEYS["[training]"], KEYS)
    workers = section.values.get("workers", "auto")
    if isinstance(workers, str) and workers != "auto":
        near = workers.strip() if workers.strip().isdigit() else '"auto"'
        raise section.wrong("workers", f'must be "auto" or a whole number. Write workers = {near}')
    share = section.take("validation_share", float, Training.validation_share)
    if not 0 < share < 1:
        raise section.wrong("validation_share", f"must be between 0 and 1, not {share:g}.")
    seed = section.take_number("seed", int, Training.seed, 0)
    if seed > LARGEST_SEED:
        raise section.wrong("seed", f"is too large ({seed}): at most {LARGEST_SEED}. Write seed = 42")
    return Training(
        precision=section.take_word("precision", PRECISIONS, Training.precision),
        workers=None if workers == "auto" else section.take_number("workers", int, 4, 1),
        pretrained=section.take("pretrained", bool, Training.pretrained),
        compile=section.take("compile", bool, Training.compile),
        seed=seed,
        max_epochs=section.take_number("max_epochs", int, Training.max_epochs, 1),
        patience=section.take_number("patience", int, Training.patience, 1),
        validation_share=share,
        save_minutes=section.take_number("save_minutes", float, Training.save_minutes, 0, above=True),
        balance=section.take_word("balance", BALANCES, Training.balance),
        degrade=section.take("degrade", bool, Training.degrade),
    )


def _inference(section: Section) -> Inference:
    section.check_keys(KEYS["[inference]"], KEYS)
    return Inference(engine=section.take_word("engine", ENGINES, Inference.engine))


def _probe(section: Section) -> ProbeOptions:
    section.check_keys(KEYS["[probe]"], KEYS)
    layers = section.values.get("layers", "all")
    numbers = isinstance(layers, list) and all(type(value) is int and 0 < value < 1000 for value in layers)
    if layers != "all" and not (numbers and layers):
        raise section.wrong(
            "layers", 'must be "all" or a list of block numbers from 1. Write layers = "all"'
        )
    strength = section.values.get("strength", "auto")
    if isinstance(strength, str) and strength != "auto":
        raise section.wrong("strength", 'must be "auto" or a number above 0. Write strength = "auto"')
    return ProbeOptions(
        layers=() if layers == "all" else tuple(layers),
        degraded_views=section.take_number("degraded_views", int, ProbeOptions.degraded_views, 0),
        strength=None
        if strength == "auto"
        else section.take_number("strength", float, 0.001, 0, above=True),
        max_pictures=section.take_number("max_pictures", int, ProbeOptions.max_pictures, 4),
    )


def _places(section: Section, defaults: Mapping[str, str]) -> dict[str, Path]:
    """The paths of a section, by key."""
    section.check_keys(defaults, KEYS)
    return {key: cast(Path, section.take_path(key, default)) for key, default in defaults.items()}


def _chosen(top: Section, recipes: Mapping[str, Recipe]) -> str:
    if isinstance(top.values.get("model"), dict):
        raise top.wrong("model", "is not a section. Write [models.my_model] for a model of your own.")
    model: str = top.take("model", str, RECIPES[0].name)
    if model not in recipes:
        raise top.file.wrong(
            f"unknown model {model!r}{did_you_mean(model, recipes)}. The models are: {', '.join(recipes)}.",
            "model",
        )
    return model
