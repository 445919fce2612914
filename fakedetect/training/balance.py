"""How often an epoch shows each picture: once, or so that classes or sources come equally often.

Each class, or each source of a class, gets an equal share of the epoch. Within it, the counts of two
pictures differ by at most one. These are the expected counts of weighted sampling with replacement (torch's
WeightedRandomSampler), without its randomness.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fakedetect.core.settings.recipes import BY_CLASS, BY_SOURCE, CLASSES, UNBALANCED
from fakedetect.core.terminal.console import plural, printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.samples import Sample

UNEQUAL_CLASS_SHARE = 1 / 3
"""Warn if a class is smaller than the other by more than this share of it."""

DOMINANT_SOURCE_SHARE = 0.5
"""Warn if a source holds more than this share of its class."""

Strata = list[list[list[int]]]
"""The indices of the samples of each stratum of each class."""


def _stratify(samples: Sequence[Sample], balance: str) -> Strata:
    found: dict[int, dict[str, list[int]]] = {}
    for place, sample in enumerate(samples):
        stratum = sample.source if balance == BY_SOURCE else ""
        found.setdefault(sample.label, {}).setdefault(stratum, []).append(place)
    return [[strata[name] for name in sorted(strata)] for _, strata in sorted(found.items())]


def draw_epoch(samples: Sequence[Sample], balance: str, random: torch.Generator) -> list[Sample]:
    """Return an epoch's samples, len(samples) of them, in an order that depends on the generator alone.

    Args:
        balance: one of BALANCES; if unbalanced, every sample comes once.
    """
    if balance == UNBALANCED:
        order = torch.randperm(len(samples), generator=random).tolist()
        return [samples[place] for place in order]
    drawn: list[int] = []
    classes = _stratify(samples, balance)
    for strata, of_class in zip(classes, _divide(len(samples), len(classes), random), strict=True):
        for places, count in zip(strata, _divide(of_class, len(strata), random), strict=True):
            each, further = divmod(count, len(places))
            drawn += places * each
            drawn += [places[n] for n in torch.randperm(len(places), generator=random)[:further].tolist()]
    times: Counter[int] = Counter()
    epoch = []
    for number in torch.randperm(len(drawn), generator=random).tolist():
        place = drawn[number]
        epoch.append(replace(samples[place], turn=times[place]))
        times[place] += 1
    return epoch


def _divide(count: int, parts: int, random: torch.Generator) -> list[int]:
    """Divide `count` draws into equal parts; random parts get the remainder."""
    each, further = divmod(count, parts)
    more = set(torch.randperm(parts, generator=random)[:further].tolist())
    return [each + (part in more) for part in range(parts)]


def compute_epoch_weights(samples: Sequence[Sample], balance: str) -> np.ndarray:
    """Return how often an epoch shows each sample on average, (N,); the mean is 1."""
    weights = np.ones(len(samples))
    if balance != UNBALANCED:
        classes = _stratify(samples, balance)
        for strata in classes:
            for places in strata:
                weights[places] = len(samples) / (len(classes) * len(strata) * len(places))
    return weights


def describe_balance(samples: Sequence[Sample], balance: str) -> list[str]:
    """Describe a balanced epoch in one line; return no line if it is unbalanced."""
    if balance == UNBALANCED:
        return []
    weights = compute_epoch_weights(samples, balance)
    parts = []
    for label, name in enumerate(CLASSES):
        places = [place for place, sample in enumerate(samples) if sample.label == label]
        if places:
            pictures = plural(len(places), name + " picture")
            parts.append(f"{pictures} {_describe_times(samples, weights, places)}")
    sources = {(sample.label, sample.source) for sample in samples}
    has_no_effect = balance == BY_SOURCE and len(sources) == len(parts)
    return [
        f'balance = "{balance}": an epoch shows each of {" and each of ".join(parts)} on average; '
        "validation loss and accuracy use the same weights"
        + (
            f'. No class has several sources (sub-folders): "{BY_CLASS}" has the same effect'
            if has_no_effect
            else ""
        )
    ]


def _describe_times(samples: Sequence[Sample], weights: np.ndarray, places: Sequence[int]) -> str:
    """Return '5 times', or '0.37 times (coco) to 5 times (imagenet)'."""
    ends = [choose(places, key=lambda place: weights[place]) for choose in (min, max)]
    low, high = (_format_times(weights[place]) for place in ends)
    if low == high:
        return low
    first, last = (printable(samples[place].source) or "no source" for place in ends)
    return f"{low} ({first}) to {high} ({last})"


def _format_times(weight: float) -> str:
    """Return 'once', '4.5 times', '0.56 times'."""
    shown = f"{weight:.2g}" if weight < 10 else f"{weight:,.0f}"
    return "once" if shown == "1" else f"{shown} times"


def advise_balance(samples: Sequence[Sample], balance: str) -> list[str]:
    """Describe what balancing would change: one line for the classes, one for the sources.

    Classes and sources that are about equal, or balanced already, get no line.
    """
    return [
        *(_advise_classes(samples) if balance == UNBALANCED else []),
        *(_advise_sources(samples) if balance != BY_SOURCE else []),
    ]


def _advise_classes(samples: Sequence[Sample]) -> list[str]:
    fakes = sum(sample.label == 0 for sample in samples)
    fewer, more = sorted((fakes, len(samples) - fakes))
    if fewer >= (1 - UNEQUAL_CLASS_SHARE) * more:
        return []
    rare, common = CLASSES if fakes == fewer else CLASSES[::-1]
    share = fewer / len(samples)
    return [
        f"Only {percent(share, 0)} of the training pictures are {rare}: a model that always predicts "
        f"{common} has an accuracy of {percent(1 - share, 0)}. Judge by the recall of both; "
        f'balance = "{BY_CLASS}" under [training] would show both classes equally often, a {rare} picture '
        f"{_format_times(0.5 / share)} an epoch."
    ]


def _advise_sources(samples: Sequence[Sample]) -> list[str]:
    weights = compute_epoch_weights(samples, BY_SOURCE)
    large, times = [], []
    for label, name in enumerate(CLASSES):
        places = [place for place, sample in enumerate(samples) if sample.label == label]
        sources = Counter(samples[place].source for place in places)
        source, count = sources.most_common(1)[0]
        if len(sources) > 1 and count > DOMINANT_SOURCE_SHARE * len(places):
            shown = f"of {printable(source)}" if source else "of no source"
            large.append(f"{count:,} of the {len(places):,} {name} pictures are {shown}")
            times.append(f"one {shown} {_format_times(min(weights[places]))}")
    if not large:
        return []
    return [
        f'{" and ".join(large)}: balance = "{BY_SOURCE}" under [training] would show both classes, and all '
        f"sources of a class, equally often: {' and '.join(times)} an epoch."
    ]
