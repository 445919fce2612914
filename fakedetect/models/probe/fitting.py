"""Fit a linear classifier on features: the pictures, their weights, and the cross-validated fit."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import plural
from fakedetect.dataset.samples import Sample
from fakedetect.metrics.intervals import group_of
from fakedetect.models.probe.classifier import LinearClassifier
from fakedetect.models.probe.folds import Folds

LEAST_PICTURES_PER_CLASS = 2
"""With a single picture, nothing would be left to learn from while it is held out."""

MOST_ITERATIONS = 500

ROWS_PER_BLOCK = 1024
"""Pictures that are scaled at a time; scaling takes four times their memory."""


def check_picture_counts(samples: Sequence[Sample], least: int, how: str = "") -> None:
    """Refuse to fit on too few pictures.

    Args:
        least: the number of pictures that each class needs.
        how: how they were counted, for the message.

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


def choose_training_pictures(samples: Sequence[Sample], most: int, seed: int) -> list[int]:
    """Choose at most `most` samples and return their indices.

    Each class gets half, or more if the other has fewer. All sources of a class are cut to the same number:
    beyond a few hundred, more pictures of one source gain little.
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
    """Return the largest cap on sizes that keeps their sum within `room`; at least 1."""
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
    """Return for each class, fake first, the indices of its samples by `name` of their source."""
    places: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for place, sample in enumerate(samples):
        places[sample.label].setdefault(name(sample.source), []).append(place)
    return places


def count_groups(samples: Sequence[Sample]) -> tuple[int, int]:
    """Count the groups of sources: families of generators, and sources of real pictures."""
    fakes, reals = _find_places(samples, group_of)
    return len(fakes), len(reals)


def compute_sample_weights(samples: Sequence[Sample]) -> np.ndarray:
    """Return a weight (N,) for each picture, 1 on average.

    Both classes have the same total. Within a class a source has the square root of its size, so that
    neither a large source nor many small ones dominate.
    """
    labels = np.array([sample.label for sample in samples])
    sources = [(sample.label, sample.source) for sample in samples]
    sizes = Counter(sources)
    weights = np.array([sizes[source] ** -0.5 for source in sources])
    for label in (0, 1):
        of_class = labels == label
        weights[of_class] *= len(samples) / 2 / weights[of_class].sum()
    return weights


def standardise(views: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Scale views (N, D) to mean 0 and deviation 1 over all of them, in float32.

    Returns:
        The scaled views, the mean (D,) and the scale (D,).
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for view in views:
        scaler.partial_fit(view)
    mean, scale = scaler.mean_, scaler.scale_
    scaled = [np.empty(view.shape, np.float32) for view in views]
    for view, out in zip(views, scaled, strict=True):
        for start in range(0, len(view), ROWS_PER_BLOCK):
            rows = slice(start, start + ROWS_PER_BLOCK)
            out[rows] = (view[rows] - mean) / scale
    return scaled, mean.astype(np.float32), scale.astype(np.float32)


def fit_logistic_regressions(
    views: Sequence[np.ndarray],
    is_fake: np.ndarray,
    weights: np.ndarray,
    strengths: Sequence[float],
    used: np.ndarray | None = None,
) -> list[tuple[np.ndarray, float]]:
    """Fit a logistic regression for fake on standardised views, for each strength.

    Args:
        views: of the same pictures, each (N, D) float32.
        is_fake: (N,) bool.
        weights: (N,).
        strengths: scikit-learn's C in rising order, so that each fit starts from the previous one.
        used: the pictures (N,) bool to learn from; None for all.

    Returns:
        Coefficients (D,) and intercept of each.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=MOST_ITERATIONS, warm_start=True)
    places = np.arange(len(is_fake)) if used is None else np.flatnonzero(used)
    # A single copy: for thousands of pictures, each takes gigabytes.
    rows = np.empty((len(views) * len(places), views[0].shape[1]), np.float32)
    for view, part in zip(views, np.split(rows, len(views)), strict=True):
        # numpy's default mode would write through a buffer.
        np.take(view, places, axis=0, out=part, mode="clip")
    target = np.tile(is_fake[places], len(views))
    shares = np.tile(weights[places], len(views)) / len(views)
    found = []
    for strength in strengths:
        model.set_params(C=strength).fit(rows, target, shares)
        found.append((model.coef_[0].astype(np.float32), float(model.intercept_[0])))
    return found


def predict_held_out(
    views: Sequence[np.ndarray],
    is_fake: np.ndarray,
    weights: np.ndarray,
    folds: Folds,
    strengths: Sequence[float],
    advance: Callable[[int], object] = lambda _: None,
) -> np.ndarray:
    """Return held-out margins (S, N) of every picture's first view, for each strength.

    The margins come from classifiers that were fitted without the picture's fold.

    Args:
        views, is_fake, weights, strengths: as for fit_logistic_regressions().
        advance: called with the number of pictures of each fold when it is done.
    """
    margins = np.zeros((len(strengths), len(is_fake)))
    for fold in range(folds.count):
        out = folds.numbers == fold
        fitted = fit_logistic_regressions(views, is_fake, weights, strengths, ~out)
        for number, (coefficients, bias) in enumerate(fitted):
            margins[number, out] = views[0][out] @ coefficients + bias
        advance(int(out.sum()))
    return margins


@dataclass(frozen=True)
class CrossValidatedFit:
    """A classifier fitted to all pictures with the best strength by cross-validation.

    `margins` (N,) are the held-out margins of the pictures, for each of `folds`.
    """

    classifier: LinearClassifier
    strength: float
    folds: tuple[Folds, ...]
    margins: tuple[np.ndarray, ...]


def fit_cross_validated(
    views: Sequence[np.ndarray],
    is_fake: np.ndarray,
    weights: np.ndarray,
    folds: Sequence[Folds],
    strengths: Sequence[float],
    advance: Callable[[int], object],
) -> CrossValidatedFit:
    """Choose the strength by held-out ROC AUC, and fit a classifier to all pictures.

    Args:
        views: of the same pictures, each (N, D), as the backbone outputs them.
        is_fake, weights, strengths: as for fit_logistic_regressions().
        folds: the first choose the strength; the others only measure it.
        advance: as for predict_held_out().
    """
    from sklearn.metrics import roc_auc_score

    standard, mean, scale = standardise(views)
    margins = predict_held_out(standard, is_fake, weights, folds[0], strengths, advance)
    best = int(np.argmax([roc_auc_score(is_fake, of_strength) for of_strength in margins]))
    chosen = strengths[best : best + 1]
    measured = [
        predict_held_out(standard, is_fake, weights, others, chosen, advance)[0] for others in folds[1:]
    ]
    coefficients, bias = fit_logistic_regressions(standard, is_fake, weights, chosen)[0]
    classifier = LinearClassifier(
        mean=mean, scale=scale, weights=coefficients, bias=np.array(bias, np.float32)
    )
    return CrossValidatedFit(
        classifier=classifier,
        strength=chosen[0],
        folds=tuple(folds),
        margins=(margins[best], *measured),
    )
