"""paths.toml as frozen records; every mistake in the file is reported in one line."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from fakedetect.core.errors import UserError, did_you_mean
from fakedetect.core.files import as_stored
from fakedetect.core.installation import (
    TEMPLATE,
    default_paths,
    join_words,
    program_words,
    shipped_folder,
    shorten_path,
)
from fakedetect.core.processes.shards import count_workers
from fakedetect.core.records.record import Positive
from fakedetect.core.settings.model_input import LANCZOS, ModelInput
from fakedetect.core.settings.recipes import (
    CLASS_TOKEN,
    OWN_MODEL_KEYS,
    RECIPE_KEYS,
    RECIPES,
    SEED,
    TOKENS,
    UNBALANCED,
    AtLeastOne,
    Balance,
    Input,
    Recipe,
    Seed,
    one_of,
    pop_recipe,
    read_own_model,
    refuse_robust,
)
from fakedetect.core.settings.toml_file import ANY_NAME, Kinds, Text, TomlFile

FOLDERS = ("train-real", "train-fake", "test-real", "test-fake")
PRECISIONS = ("auto", "fp32", "bf16")
AUTO_ENGINE, TORCH_ENGINE, OPENVINO_ENGINE = ENGINES = ("auto", "torch", "openvino")
"""Engines that compute a trained model's predictions."""
ORIGINAL = {name.replace("-", "_"): f"dataset/{name.replace('-', '/')}" for name in FOLDERS}
RESIZED = {part: f"dataset/resized_{part}" for part in ("train", "test")}
OUTPUTS = {
    "model_folders": "model_folders",
    "bad_images": "list_of_bad_images.txt",
    "grad_cam": "grad-cam_images",
    "explore": "explore",
}
"""Default paths, unless paths.toml sets others."""

Meta = msgspec.Meta
Switch = Annotated[bool, Meta(description="true or false")]
Opened = Annotated[dict[str, Any], Meta(description="a section, [NAME] on a line of its own")]
FromZero = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a whole number from 0")]
Workers = Annotated[AtLeastOne | None, Meta(description='"auto" or a whole number from 1')]
Block = Annotated[int, Meta(ge=1, le=999)]
LayerNumbers = Annotated[
    tuple[Block, ...], Meta(min_length=1, description='"all" or a list of block numbers from 1')
]

Sources = Annotated[
    tuple[Text, ...], Meta(min_length=1, description='a list of sources: ["camera", "comics_*"]')
]


@dataclass(frozen=True)
class ProbeOptions:
    """Options of the probe recipe: the backbone's blocks by number (none: all), what is read of a block
    (of TOKENS), whether the centre square of each picture is read too, degraded views per picture in
    addition to the clean one, scikit-learn's C (None: chosen by cross-validation), the most pictures, and
    the sources of each collection, as names or fnmatch patterns."""

    layers: LayerNumbers = ()
    tokens: Annotated[str, one_of(TOKENS)] = CLASS_TOKEN
    centre_square: Switch = True
    degraded_views: FromZero = 1
    strength: Annotated[Positive | None, Meta(description='"auto" or a number above 0')] = None
    max_pictures: Annotated[int, Meta(ge=4, le=2**63 - 1, description="a whole number from 4")] = 12_000
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Inference:
    """How predictions are computed."""

    engine: Annotated[str, one_of(ENGINES)] = AUTO_ENGINE


@dataclass(frozen=True)
class Training:
    """Training options of the chosen model, in addition to its recipe."""

    precision: Annotated[str, one_of(PRECISIONS)] = "auto"
    workers: Workers = None
    pretrained: Switch = True
    compile: Switch = False
    seed: Seed = SEED
    max_epochs: AtLeastOne = 50
    patience: AtLeastOne = 3
    validation_share: Annotated[float, Meta(gt=0, lt=1, description="a number between 0 and 1")] = 0.1
    save_minutes: Positive = 10.0
    balance: Balance = UNBALANCED
    degrade: Switch = False


DEFAULT_WORDS = {"workers": "auto", "layers": "all", "strength": "auto"}
"""How the file may write a default that has no value of its own."""

SECTIONS: Mapping[str, Kinds] = {
    "": {
        "model": Annotated[Text, Meta(description="the name of a model in quotes")],
        **dict.fromkeys(
            ("original", "resized", "outputs", "training", "inference", "probe", "models"), Opened
        ),
    },
    "[original]": dict.fromkeys(ORIGINAL, Text),
    "[resized]": dict.fromkeys(RESIZED, Text),
    "[outputs]": dict.fromkeys(OUTPUTS, Text),
    "[training]": {**get_type_hints(Training, include_extras=True), **RECIPE_KEYS},
    "[inference]": get_type_hints(Inference, include_extras=True),
    "[probe]": {**get_type_hints(ProbeOptions, include_extras=True), "collections": Opened},
    "[probe.collections]": {ANY_NAME: Sources},
    "[models.NAME]": OWN_MODEL_KEYS,
}
"""The keys of each section by its title; '' for those above the first section."""


@dataclass(frozen=True)
class Settings:
    """The contents of paths.toml, with absolute paths.

    `plain_copies`: the folders of copies for the reference's models, from [resized]. `written`: the
    recipes with only the values that the file sets. `idle`: the recipe keys under [training] that have no
    effect on a model of [models.*]. `chosen` is the model that the file chooses, `called` the model of
    this call, which suggested commands name. `folder`: where a further run of the model is written; None
    for the model's folder.
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
    chosen: str
    called: str
    folder: Path | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models."""
        return tuple(self.written)

    @cached_property
    def recipe(self) -> Recipe:
        """The chosen model's recipe, with the input that the file does not set taken from timm.

        Raises:
            UserError: timm has no such model, or its pictures are not square.
        """
        recipe = self.written[self.model]
        if not recipe.as_model_input():
            from fakedetect.core.settings.architectures import look_up_input

            recipe = look_up_input(self.model_folders, recipe.architecture, recipe.section).fill(recipe)
            if recipe.size is None:
                raise UserError(
                    f"{recipe.section}: {recipe.architecture} expects non-square input, which fakedetect "
                    "does not support. Set a square size there, for example size = 768."
                )
        # Only pictures of the reference's size have a known scaling without it.
        return recipe.or_else(Input(interpolation=LANCZOS))

    def find_known_input(self) -> ModelInput | None:
        """Return the chosen model's input; None if timm must be imported to know it."""
        recipe = self.written[self.model]
        if known := recipe.as_model_input():
            return known
        from fakedetect.core.settings.architectures import find_known_input

        found = find_known_input(self.model_folders, recipe.architecture)
        return found.fill(recipe).as_model_input() if found else None

    @property
    def resized(self) -> Mapping[str, Path]:
        """The folders of the chosen model's copies, by 'train' and 'test'."""
        scaling = self.recipe.input.scaling
        return {part: scaling.folder(plain) for part, plain in self.plain_copies.items()}

    @property
    def model_folder(self) -> Path:
        """The folder of the chosen model's checkpoint and results."""
        if self.folder:
            return self.folder
        own = self.model_folders / self.model
        return own if own.is_dir() else shipped_folder(self.model) or own

    @property
    def checkpoint(self) -> Path:
        """The chosen model's classifier_model.pth."""
        return self.model_folder / "classifier_model.pth"

    @property
    def workers(self) -> int:
        """The number of processes or threads that read pictures."""
        return count_workers(self.training.workers)

    def with_model(self, name: str) -> "Settings":
        """Return these settings with another model chosen.

        Raises:
            UserError: there is no such model.
        """
        if name not in self.written:
            raise UserError(
                f"Unknown model {name!r}{did_you_mean(name, self.written)}. "
                f"The models are: {', '.join(self.written)}."
            )
        return replace(self, model=name, called=name, folder=None)

    def command(self, *words: str) -> str:
        """Return a command for the user to type, with this call's --paths and --model if they are
        necessary: 'python menu.py --model resnet50 train --resume'."""
        options: list[str] = []
        if self.file != default_paths():
            options += ["--paths", shorten_path(self.file)]
        if self.called != self.chosen:
            options += ["--model", self.called]
        return join_words((*program_words(), *options, *words))

    def lasting_command(self, *words: str) -> str:
        """Return the command for a file that is read later, in any folder and with any model chosen."""
        always = ("--paths", str(self.file), "--model", self.called)
        return join_words((*program_words(), *always, *words))

    def with_recipe(self, **changes: Any) -> "Settings":
        """Return these settings with changes to the chosen model's recipe."""
        recipe = msgspec.structs.replace(self.written[self.model], **changes)
        return replace(self, written={**self.written, self.model: recipe})


def load_settings(path: Path, content: Path | None = None) -> Settings:
    """Read a paths.toml.

    Args:
        content: a file to read instead, as if it were at `path`.

    Raises:
        UserError: the file is missing or contains an invalid value.
    """
    file = TomlFile(as_stored(path.absolute()), SECTIONS, content)
    top = file.take("", file.values)
    refuse_robust(file, top.get("training", {}), "training")
    training = _section(file, top, "training")
    common = pop_recipe(training)
    models = top.get("models", {})
    recipes = {base.name: msgspec.structs.replace(base, **common) for base in RECIPES}
    taken = {name.casefold() for name in recipes}
    for name, values in models.items():
        recipes[name] = read_own_model(file, name, values, taken)
        taken.add(name.casefold())
    model = top.get("model", RECIPES[0].name)
    if model not in recipes:
        raise file.error_at(
            f"unknown model {model!r}{did_you_mean(model, recipes)}. The models are: {', '.join(recipes)}.",
            "model",
        )
    original = _places(file, top, "original", ORIGINAL)
    probe = _section(file, top, "probe")
    collections = file.take("[probe.collections]", probe.pop("collections", {}), "probe", "collections")
    return Settings(
        file=file.path,
        model=model,
        original=dict(zip(FOLDERS, original.values(), strict=True)),
        plain_copies=_places(file, top, "resized", RESIZED),
        **_places(file, top, "outputs", OUTPUTS),
        training=Training(**training),
        inference=Inference(**_section(file, top, "inference")),
        probe=ProbeOptions(**probe, collections=collections),
        written=recipes,
        idle={
            name: tuple(key for key in RECIPE_KEYS if key in top.get("training", {}) and key not in values)
            for name, values in models.items()
        },
        chosen=model,
        called=model,
    )


def find_settings(file: Path | None = None) -> Settings:
    """Read a settings file or the default one; the program's own if the default one is missing.

    Raises:
        UserError: see load_settings().
    """
    file = file or default_paths()
    missing = file == default_paths() and not file.exists()
    return load_settings(file, TEMPLATE if missing else None)


def _section(file: TomlFile, top: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the values of a section, without defaults that are written as a word."""
    title = f"[{name}]"
    usual = {key: word for key, word in DEFAULT_WORDS.items() if key in SECTIONS[title]}
    given = {key: value for key, value in top.get(name, {}).items() if value != usual.get(key)}
    return file.take(title, given, name)


def _places(file: TomlFile, top: Mapping[str, Any], name: str, usual: dict[str, str]) -> dict[str, Path]:
    """Return the paths of a section, by key."""
    given = usual | _section(file, top, name)
    return {key: file.locate(text, name, key) for key, text in given.items()}
