"""What is looked at before the first epoch: mistakes in the data that would make a run worthless."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fakedetect.core.errors import UserError, is_bug
from fakedetect.core.settings.recipes import BY_CLASS, BY_SOURCE, CLASSES, UNBALANCED
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.dataset.folders import class_folders
from fakedetect.dataset.identical import find_exact
from fakedetect.dataset.samples import Dataset, Sample
from fakedetect.images.listing import list_images
from fakedetect.images.reading import open_image
from fakedetect.training.balance import say_times, weigh

UNEQUAL = 1 / 3
"""A class that is smaller than the other by more than this share of it draws a warning."""

DOMINANT = 0.5
"""A source that holds more than this share of its class draws a warning."""

FEW = 10
"""Pictures of a class below which a run draws a warning."""

LOOKED_AT = 100
TINY = 32
"""Pixels a side, below which a picture has little to learn from."""


def _is_tiny(path: Path) -> bool:
    try:
        with open_image(path) as image:
            size = image.size
    except Exception as error:
        # Whatever a decoder raises: such pictures are skipped and named later.
        if is_bug(error):
            raise
        return False
    return max(size) < TINY


def _check_sizes(dataset: Dataset, console: Console) -> None:
    for number, name in enumerate(CLASSES):
        samples = [sample for sample in dataset.samples if sample.label == number]
        looked_at = samples[:: max(1, len(samples) // LOOKED_AT)]
        tiny = sum(_is_tiny(sample.path) for sample in looked_at)
        if tiny > len(looked_at) / 2:
            console.warn(
                f"Most {name} pictures in {dataset.folder} are smaller than {TINY} pixels: "
                "they contain next to nothing to learn from."
            )


def _test_samples(settings: Settings) -> list[Sample]:
    folder = settings.resized["test"]
    if not folder.is_dir():
        return []
    try:
        return [
            Sample(path, label, "")
            for class_folder, label in class_folders(folder)
            for path in list_images(class_folder)
        ]
    except UserError:
        return []


def _check_copies(settings: Settings, dataset: Dataset, test: Sequence[Sample], console: Console) -> None:
    samples = [*dataset.samples, *test]
    places = {sample.path for sample in test}
    sizes = []
    for sample in samples:
        try:
            sizes.append(sample.path.stat().st_size)
        except OSError:
            sizes.append(-1)
    counts: Counter[str] = Counter()
    for pair in find_exact([sample.path for sample in samples], sizes):
        first, second = samples[pair.first], samples[pair.second]
        if (first.path in places) != (second.path in places):
            counts["leak"] += 1
        if first.label != second.label:
            counts["both"] += 1
    listing = settings.command("explore", "--on", "resized")
    if leaks := counts["leak"]:
        be = "is an exact duplicate" if leaks == 1 else "are exact duplicates"
        console.warn(
            f"{plural(leaks, 'picture')} of the test folder {be} of training pictures: testing on them "
            f"inflates the accuracy. {listing} lists them."
        )
    if both := counts["both"]:
        be = "is" if both == 1 else "are"
        console.warn(
            f"{plural(both, 'picture')} {be} labelled both fake and real (exact duplicates). "
            f"{listing} lists them."
        )


def advise_balance(samples: Sequence[Sample], balance: str) -> list[str]:
    """What balancing would change, in a line for the classes and one for the sources.

    Nothing is said of what is about equal, or balanced already.
    """
    return [
        *(_advise_classes(samples) if balance == UNBALANCED else []),
        *(_advise_sources(samples) if balance != BY_SOURCE else []),
    ]


def _advise_classes(samples: Sequence[Sample]) -> list[str]:
    fakes = sum(sample.label == 0 for sample in samples)
    fewer, more = sorted((fakes, len(samples) - fakes))
    if fewer >= (1 - UNEQUAL) * more:
        return []
    rare, common = CLASSES if fakes == fewer else CLASSES[::-1]
    share = fewer / len(samples)
    return [
        f"Only {share:.0%} of the training pictures are {rare}: a model that always says {common} has an "
        f"accuracy of {1 - share:.0%}. Judge by the recall of both; "
        f'balance = "{BY_CLASS}" under [training] would show both classes equally often, a {rare} picture '
        f"{say_times(0.5 / share)} an epoch."
    ]


def _advise_sources(samples: Sequence[Sample]) -> list[str]:
    weights = weigh(samples, BY_SOURCE)
    large, times = [], []
    for label, name in enumerate(CLASSES):
        places = [place for place, sample in enumerate(samples) if sample.label == label]
        sources = Counter(samples[place].source for place in places)
        source, count = sources.most_common(1)[0]
        if len(sources) > 1 and count > DOMINANT * len(places):
            shown = f"of {printable(source)}" if source else "of no source"
            large.append(f"{count:,} of the {len(places):,} {name} pictures are {shown}")
            times.append(f"one {shown} {say_times(min(weights[places]))}")
    if not large:
        return []
    return [
        f'{" and ".join(large)}: balance = "{BY_SOURCE}" under [training] would show both classes, and all '
        f"sources of a class, equally often: {' and '.join(times)} an epoch."
    ]


def check_data(settings: Settings, console: Console, dataset: Dataset) -> None:
    """Warn of what makes a run worth less; what makes it worthless is refused.

    Raises:
        UserError: the test folder lies in the training folder, or the other way round.
    """
    train, test = (settings.resized[part].resolve() for part in ("train", "test"))
    if train == test or train in test.parents or test in train.parents:
        raise UserError(
            f"{settings.resized['train']} and {settings.resized['test']} are the same folder, or one "
            "contains the other: the model would be tested on its training pictures. Give them separate "
            f"folders in {settings.file}."
        )
    for line in advise_balance(dataset.samples, settings.training.balance):
        console.warn(line)
    count = len(dataset.samples)
    if count < settings.recipe.batch_size:
        console.warn(
            f"The training set ({plural(count, 'picture')}) is smaller than one batch "
            f"({settings.recipe.batch_size}): each epoch is a single step. Set a smaller batch_size in "
            f"{settings.file}."
        )
    fakes = sum(sample.label == 0 for sample in dataset.samples)
    if min(fakes, count - fakes) < FEW:
        console.warn(
            f"Only {fakes:,} fake and {plural(count - fakes, 'real picture')} to train and validate on: so "
            "few teach a model nothing, and its validation accuracy is a matter of luck. Collect more of "
            "both classes."
        )
    _check_sizes(dataset, console)
    _check_copies(settings, dataset, _test_samples(settings), console)
