"""How often an epoch shows which picture: each once, or both classes, or all sources, equally often.

Each class, or each source of it, has its share of the epoch, and of two pictures of that neither comes more
often than the other by more than one time. These are the expected counts of sampling with weights and with
replacement, as torch's WeightedRandomSampler does it, without its chance.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fakedetect.core.settings.recipes import BY_CLASS, BY_SOURCE, CLASSES, UNBALANCED
from fakedetect.core.terminal.console import plural, printable
from fakedetect.dataset.samples import Sample

UNEQUAL = 1 / 3
"""A class that is smaller than the other by more than this share of it draws a warning."""

DOMINANT = 0.5
"""A source that holds more than this share of its class draws a warning."""

Strata = list[list[list[int]]]
"""For each class, for each stratum of it, the places of its samples."""


def _stratify(samples: Sequence[Sample], balance: str) -> Strata:
    found: dict[int, dict[str, list[int]]] = {}
    for place, sample in enumerate(samples):
        stratum = sample.source if balance == BY_SOURCE else ""
        found.setdefault(sample.label, {}).setdefault(stratum, []).append(place)
    return [[strata[name] for name in sorted(strata)] for _, strata in sorted(found.items())]


def draw_epoch(samples: Sequence[Sample], balance: str, random: torch.Generator) -> list[Sample]:
    """The samples of an epoch in random order, as many as there are; the generator's state decides all.

    Args:
        balance: one of BALANCES; without it every sample comes once.
    """
    if balance == UNBALANCED:
        order = torch.randperm(len(samples), generator=random).tolist()
        return [samples[place] for place in order]
    drawn: list[int] = []
    classes = _stratify(samples, balance)
    for strata, of_class in zip(classes, _deal(len(samples), len(classes), random), strict=True):
        for places, count in zip(strata, _deal(of_class, len(strata), random), strict=True):
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


def _deal(count: int, parts: int, random: torch.Generator) -> list[int]:
    """So many draws in equal parts; what is left over goes to parts by chance."""
    each, further = divmod(count, parts)
    more = set(torch.randperm(parts, generator=random)[:further].tolist())
    return [each + (part in more) for part in range(parts)]


def weigh(samples: Sequence[Sample], balance: str) -> np.ndarray:
    """A weight (N,) for each sample, 1 on average: how often an epoch shows it, on average."""
    weights = np.ones(len(samples))
    if balance != UNBALANCED:
        classes = _stratify(samples, balance)
        for strata in classes:
            for places in strata:
                weights[places] = len(samples) / (len(classes) * len(strata) * len(places))
    return weights


def describe_balance(samples: Sequence[Sample], balance: str) -> list[str]:
    """What balancing makes of an epoch, in a line; nothing where there is none."""
    if balance == UNBALANCED:
        return []
    weights = weigh(samples, balance)
    told = []
    for label, name in enumerate(CLASSES):
        places = [place for place, sample in enumerate(samples) if sample.label == label]
        if places:
            told.append(f"{plural(len(places), name + ' picture')} {_tell_times(samples, weights, places)}")
    sources = {(sample.label, sample.source) for sample in samples}
    in_vain = balance == BY_SOURCE and len(sources) == len(told)
    return [
        f'balance = "{balance}": an epoch shows each of {" and each of ".join(told)} on average; '
        "validation loss and accuracy use the same weights"
        + (
            f'. No class has several sources (sub-folders): "{BY_CLASS}" has the same effect'
            if in_vain
            else ""
        )
    ]


def _tell_times(samples: Sequence[Sample], weights: np.ndarray, places: Sequence[int]) -> str:
    """'5 times', or '0.37 times (coco) to 5 times (imagenet)'."""
    ends = [choose(places, key=lambda place: weights[place]) for choose in (min, max)]
    low, high = (_describe_times(weights[place]) for place in ends)
    if low == high:
        return low
    first, last = (printable(samples[place].source) or "no source" for place in ends)
    return f"{low} ({first}) to {high} ({last})"


def _describe_times(weight: float) -> str:
    """'once', '4.5 times', '0.56 times'."""
    shown = f"{weight:.2g}" if weight < 10 else f"{weight:,.0f}"
    return "once" if shown == "1" else f"{shown} times"


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
        f"{_describe_times(0.5 / share)} an epoch."
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
            times.append(f"one {shown} {_describe_times(min(weights[places]))}")
    if not large:
        return []
    return [
        f'{" and ".join(large)}: balance = "{BY_SOURCE}" under [training] would show both classes, and all '
        f"sources of a class, equally often: {' and '.join(times)} an epoch."
    ]
