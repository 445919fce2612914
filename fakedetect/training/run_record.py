"""What a run writes into its training.json, in whichever way it trained."""

import platform
from importlib.metadata import version

from fakedetect.core.recipes import PROBE, UNBALANCED, Recipe
from fakedetect.core.settings import Settings
from fakedetect.core.training_record import DataRecord, KindRecord, RecipeRecord, RunConditions
from fakedetect.core.version import describe_version
from fakedetect.dataset.samples import Dataset, hash_names
from fakedetect.images.copies import ALIGNED_QUALITY, Kind


def describe_recipe(recipe: Recipe) -> RecipeRecord:
    """The recipe that a run followed."""
    return RecipeRecord(
        name=recipe.name,
        library=recipe.library,
        architecture=recipe.architecture,
        batch_size=recipe.batch_size,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        size=recipe.input.size,
        interpolation=recipe.input.scaling.interpolation,
        mean=recipe.input.mean,
        std=recipe.input.std,
        weights=str(recipe.weights) if recipe.weights else None,
        layer=recipe.layer,
        recipe=recipe.method,
    )


def describe_data(dataset: Dataset, kind: Kind) -> DataRecord:
    """The pictures of a run and the kind of their copies."""
    quality = None if kind.quality == ALIGNED_QUALITY else kind.quality
    return DataRecord(
        folder=str(dataset.folder),
        count=len(dataset.samples),
        fake=sum(sample.label == 0 for sample in dataset.samples),
        real=sum(sample.label == 1 for sample in dataset.samples),
        left_out=dataset.left_out,
        kind=KindRecord(aligned=kind.aligned, fast=kind.fast, quality=quality),
        pictures=hash_names(dataset),
        leave_out=dataset.without,
    )


def read_versions() -> dict[str, str]:
    """The versions that a run depends on, by name."""
    packages = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")
    return {
        "fakedetect": describe_version(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def gather_conditions(settings: Settings, dataset: Dataset) -> RunConditions:
    """What has to be the same for an unfinished run to go on as if it had not been stopped."""
    recipe, options = settings.recipe, settings.training
    return RunConditions(
        architecture=recipe.architecture,
        batch_size=recipe.batch_size,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        recipe=recipe.method,
        weight_decay=recipe.weight_decay,
        size=recipe.input.size,
        interpolation=recipe.input.scaling.interpolation,
        mean=recipe.input.mean,
        std=recipe.input.std,
        seed=options.seed,
        precision=options.precision,
        validation_share=options.validation_share,
        pictures=hash_names(dataset),
        leave_out=dataset.without,
        # A probe weighs and degrades its pictures in a way of its own.
        balance=UNBALANCED if recipe.method == PROBE else options.balance,
        degrade=options.degrade and recipe.method != PROBE,
    )
