"""What a run writes into its training.json, in whichever way it trained."""

import platform
from importlib.metadata import version

from fakedetect.core.records.training import DataRecord, KindRecord, RunConditions
from fakedetect.core.settings.recipes import PROBE, UNBALANCED, Recipe
from fakedetect.core.settings.settings import Settings
from fakedetect.core.version import describe_version
from fakedetect.dataset.samples import Dataset, hash_names
from fakedetect.images.copies import ALIGNED_QUALITY, Kind


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
    shared = {key for key in RunConditions.__struct_fields__ if key in Recipe.__struct_fields__}
    return RunConditions(
        **{key: getattr(recipe, key) for key in shared},
        recipe=recipe.method,
        seed=options.seed,
        precision=options.precision,
        validation_share=options.validation_share,
        pictures=hash_names(dataset),
        leave_out=dataset.without,
        # A probe weighs and degrades its pictures in a way of its own.
        balance=UNBALANCED if recipe.method == PROBE else options.balance,
        degrade=options.degrade and recipe.method != PROBE,
    )
