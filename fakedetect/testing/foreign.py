"""How a model does on a folder of pictures from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import msgspec
import numpy as np

from fakedetect.core.files import hash_text
from fakedetect.core.records.evaluation import ForeignEntry
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, printable
from fakedetect.dataset.folders import class_folders, source_of
from fakedetect.dataset.identical import count_known
from fakedetect.dataset.samples import Sample, check_both_classes, find_shape
from fakedetect.images.listing import list_images
from fakedetect.metrics.calibration import UNCALIBRATED
from fakedetect.metrics.measures import measure_entry
from fakedetect.models.detector import Detector
from fakedetect.models.predictions import predict_pictures
from fakedetect.testing.results import format_predictions


@dataclass(frozen=True)
class Foreign:
    """A folder of other pictures as it was measured: the name that it is kept by, its figures, the answers
    as CSV, and the reasons of the unreadable pictures."""

    name: str
    entry: ForeignEntry
    predictions: str
    bad: Mapping[Path, str]


def _read_foreign(folder: Path) -> list[Sample]:
    folders = class_folders(folder, lambda name: f"Put {name or 'real and fake'} pictures there.")
    samples = [
        Sample(path, label, source_of(path, class_folder))
        for class_folder, label in folders
        for path in list_images(class_folder)
    ]
    check_both_classes(samples, folders, "", "Put some there.")
    return samples


def _list_own(settings: Settings) -> list[Path]:
    """The pictures of the project, originals and copies."""
    folders = (*settings.original.values(), *settings.resized.values())
    return [path for folder in folders if folder.is_dir() for path in list_images(folder)]


def _name_of(folder: Path, known: Mapping[str, ForeignEntry]) -> str:
    """What a folder's figures are kept by: its own name, with those above it where others have that one."""
    place = folder.resolve()
    whole = printable(str(place))
    for name, entry in known.items():
        if entry.folder == whole:
            return name
    # The name becomes that of a file too, on systems that tell no capitals apart.
    taken = {name.casefold() for name in known}
    ends = (PurePath(*place.parts[-count:]).as_posix() for count in range(1, len(place.parts)))
    return next((name for name in map(printable, ends) if name.casefold() not in taken), whole)


def measure_foreign(
    detector: Detector, console: Console, known: Mapping[str, ForeignEntry], folder: Path
) -> Foreign:
    """Measure the model on a folder of other pictures, scaled in memory as the resized copies are.

    Args:
        known: the folders that were measured before, by name.

    Raises:
        UserError: it holds no readable pictures of both classes.
    """
    by_path = {sample.path: sample for sample in _read_foreign(folder)}
    found, bad = predict_pictures(detector, console, list(by_path), folder.name)
    samples = [sample for path, sample in by_path.items() if path in found]
    check_both_classes(samples, [(folder, 0), (folder, 1)], "readable ", "Put some there.")
    margins = np.array([found[sample.path][0] for sample in samples])
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    sources = [sample.source for sample in samples]
    table = format_predictions(samples, np.where(margins >= 0, 0, 1), UNCALIBRATED.probability(margins))
    shapes = [find_shape(sample.path) for sample in samples]
    entry = ForeignEntry(
        **msgspec.structs.asdict(measure_entry(detector.calibration, is_fake, sources, margins, shapes)),
        folder=printable(folder.resolve()),
        predictions=hash_text(table),
        own=count_known([sample.path for sample in samples], _list_own(detector.settings)),
    )
    return Foreign(name=_name_of(folder, known), entry=entry, predictions=table, bad=bad)
