"""A line on features: the weights of its pictures, what is left out to judge it, and the fit."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import plural
from fakedetect.dataset.samples import Sample
from fakedetect.metrics.intervals import group_of
from fakedetect.models.probe.classifier import Line

MOST_FOLDS = 8
FOLDS_OF_PICTURES = 5
"""Folds where a class has one source, so that its pictures are left out and not its sources."""

LEAST = 2
"""Pictures of each class: of one alone nothing is left to learn from while it is left out."""

MOST_ITERATIONS = 500

ROWS = 1024
"""Pictures that are scaled at a time: it takes four times the memory that they come in."""


def check_enough(samples: Sequence[Sample], least: int, how: str = "") -> None:
    """Let nothing be learnt from too few pictures.

    Args:
        least: of each class.
        how: what else to know of the count, for the message.

    Raises:
        UserError: a class has fewer.
    """
    for label, name in enumerate(CLASSES):
        count = sum(sample.label == label for sample in samples)
        if count < least:
            raise UserError(
                f"{plural(count, 'readable picture')} labelled {name}: too few to learn from. At least "
                f"{least} of each class are needed{f', {how}' if how else ''}. Add more."
            )


def choose_pictures(samples: Sequence[Sample], most: int, seed: int) -> list[int]:
    """The places of `most` samples at most: half of each class, more where the other has fewer; of every
    source what it has, up to a number that is the same for all of its class.

    Beyond some hundreds, more pictures of one source gain little.
    """
    if len(samples) <= most:
        return list(range(len(samples)))
    random = np.random.default_rng(seed)
    by_class = _find_places(samples, lambda source: source)
    counts = [sum(map(len, sources.values())) for sources in by_class]
    places: list[int] = []
    for label, sources in enumerate(by_class):
        room = max(most // 2, most - counts[1 - label])
        cap = _largest_cap([len(of_source) for of_source in sources.values()], room)
        for of_source in sources.values():
            places += random.permutation(of_source)[:cap].tolist()
    return sorted(places)


def _largest_cap(sizes: Sequence[int], room: int) -> int:
    """The largest number to which sizes can be cut so that their sum is at most `room`; at least 1."""
    cap, left = max(sizes), room
    for done, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - done)
        if size > share:
            return max(1, share)
        left -= size
    return cap


def _find_places(
    samples: Sequence[Sample], name: Callable[[str], str]
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """For each class, fake first, the places of its samples by what `name` calls their source."""
    places: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for place, sample in enumerate(samples):
        places[sample.label].setdefault(name(sample.source), []).append(place)
    return places


def count_groups(samples: Sequence[Sample]) -> tuple[int, int]:
    """How many groups of sources there are: families of generators, and sources of real pictures."""
    fakes, reals = _find_places(samples, group_of)
    return len(fakes), len(reals)


@dataclass(frozen=True)
class Folds:
    """For each picture the fold (N,) whose line is fitted without it.

    `by_source` says for each class, fake first, whether whole groups of sources are left out; where a class
    has one group, its pictures are dealt out, and nothing is known of others.
    """

    numbers: np.ndarray
    count: int
    by_source: tuple[bool, bool]


def deal_folds(samples: Sequence[Sample], seed: int) -> Folds:
    """Leave groups of sources out together, groups of about the same number of pictures in each fold."""
    by_class = _find_places(samples, group_of)
    several = [len(groups) for groups in by_class if len(groups) > 1]
    count = min([MOST_FOLDS, *several]) if several else FOLDS_OF_PICTURES
    numbers = np.zeros(len(samples), int)
    random = np.random.default_rng(seed)
    for groups in by_class:
        if len(groups) > 1:
            _deal_groups(groups, numbers, count)
        else:
            alone = random.permutation(next(iter(groups.values())))
            numbers[alone] = np.arange(len(alone)) % count
    return Folds(numbers, count, (len(by_class[0]) > 1, len(by_class[1]) > 1))


def _deal_groups(places: Mapping[str, Sequence[int]], numbers: np.ndarray, count: int) -> None:
    """Give every group, the largest first, to the fold with the fewest pictures."""
    sizes = [0] * count
    for name in sorted(places, key=lambda name: (-len(places[name]), name)):
        fold = sizes.index(min(sizes))
        numbers[places[name]] = fold
        sizes[fold] += len(places[name])


def weigh(samples: Sequence[Sample]) -> np.ndarray:
    """A weight (N,) for each picture, 1 on average: both classes count the same, and within a class each
    source by the square root of its size, so that neither a large source nor many small ones decide."""
    labels = np.array([sample.label for sample in samples])
    sources = [(sample.label, sample.source) for sample in samples]
    sizes = Counter(sources)
    weights = np.array([sizes[source] ** -0.5 for source in sources])
    for label in (0, 1):
        of_class = labels == label
        weights[of_class] *= len(samples) / 2 / weights[of_class].sum()
    return weights


def standardise(views: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Views (N, D) of the pictures with mean 0 and deviation 1 over all of them, float32.

    Returns:
        The views, the mean (D,) and the scale (D,).
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for view in views:
        scaler.partial_fit(view)
    mean, scale = scaler.mean_, scaler.scale_
    scaled = [np.empty(view.shape, np.float32) for view in views]
    for view, out in zip(views, scaled, strict=True):
        for start in range(0, len(view), ROWS):
            rows = slice(start, start + ROWS)
            out[rows] = (view[rows] - mean) / scale
    return scaled, mean.astype(np.float32), scale.astype(np.float32)


def fit(
    views: Sequence[np.ndarray],
    is_fake: np.ndarray,
    weights: np.ndarray,
    strengths: Sequence[float],
    used: np.ndarray | None = None,
) -> list[tuple[np.ndarray, float]]:
    """Logistic regressions for fake on standardised views, one for each strength.

    Args:
        views: of the same pictures, each (N, D) float32.
        is_fake: (N,) bool.
        weights: (N,).
        strengths: scikit-learn's C, rising, so that each fit starts from the one before.
        used: the pictures (N,) bool that it learns from; all otherwise.

    Returns:
        Coefficients (D,) and intercept of each.
    """
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(max_iter=MOST_ITERATIONS, warm_start=True)
    places = np.arange(len(is_fake)) if used is None else np.flatnonzero(used)
    # One copy: of thousands of pictures each takes gigabytes.
    rows = np.empty((len(views) * len(places), views[0].shape[1]), np.float32)
    for view, part in zip(views, np.split(rows, len(views)), strict=True):
        # numpy's default mode would write through a buffer.
        np.take(view, places, axis=0, out=part, mode="clip")
    target = np.tile(is_fake[places], len(views))
    shares = np.tile(weights[places], len(views)) / len(views)
    found = []
    for strength in strengths:
        line.set_params(C=strength).fit(rows, target, shares)
        found.append((line.coef_[0].astype(np.float32), float(line.intercept_[0])))
    return found


def judge_left_out(
    views: Sequence[np.ndarray],
    is_fake: np.ndarray,
    weights: np.ndarray,
    folds: Folds,
    strengths: Sequence[float],
    advance: Callable[[int], object] = lambda _: None,
) -> np.ndarray:
    """Margins (S, N) of the first view of every picture by lines that were fitted without its fold, one for
    each strength.

    Args:
        views, is_fake, weights, strengths: as fit() takes them.
        advance: told of each fold's number of pictures when they are judged.
    """
    margins = np.zeros((len(strengths), len(is_fake)))
    for fold in range(folds.count):
        out = folds.numbers == fold
        lines = fit(views, is_fake, weights, strengths, ~out)
        for number, (line, bias) in enumerate(lines):
            margins[number, out] = views[0][out] @ line + bias
        advance(int(out.sum()))
    return margins


@dataclass(frozen=True)
class JudgedLine:
    """A line fitted to all pictures, with the strength that tells left out pictures apart best; their
    margins (N,) by lines that were fitted without their fold."""

    line: Line
    strength: float
    folds: Folds
    margins: np.ndarray


def fit_judged(
    views: Sequence[np.ndarray],
    is_fake: np.ndarray,
    weights: np.ndarray,
    folds: Folds,
    strengths: Sequence[float],
    advance: Callable[[int], object],
) -> JudgedLine:
    """Choose the strength by the folds left out, and fit a line to all pictures.

    Args:
        views: of the same pictures, each (N, D), as the backbone gives them.
        is_fake, weights, strengths: as fit() takes them.
        advance: as judge_left_out() takes it.
    """
    from sklearn.metrics import roc_auc_score

    standard, mean, scale = standardise(views)
    margins = judge_left_out(standard, is_fake, weights, folds, strengths, advance)
    best = int(np.argmax([roc_auc_score(is_fake, of_strength) for of_strength in margins]))
    coefficients, bias = fit(standard, is_fake, weights, strengths[best : best + 1])[0]
    line = Line(mean=mean, scale=scale, weights=coefficients, bias=np.array(bias, np.float32))
    return JudgedLine(line=line, strength=strengths[best], folds=folds, margins=margins[best])
