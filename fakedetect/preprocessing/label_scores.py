"""Held-out p(fake) of labelled pictures, and the labels that are probably wrong.

A linear classifier on a network's frozen features predicts each picture in cross-validation. The features
are frozen because a network that was trained on these pictures has memorised their labels, wrong ones too.
Confident learning then finds the labels that are probably wrong: Northcutt, Jiang and Chuang 2021,
'Confident Learning: Estimating Uncertainty in Dataset Labels', Journal of Artificial Intelligence
Research 70. Their package, cleanlab, supports any number of classes; for two, it takes a few lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from fakedetect.core.errors import MissingWeightsError
from fakedetect.core.files import run_lock
from fakedetect.core.installation import SMALL_STARTER
from fakedetect.core.settings.model_folder import adopt_starter, features_file, find_starter
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, plural
from fakedetect.dataset.identical import find_exact_duplicates
from fakedetect.dataset.samples import Sample
from fakedetect.metrics.calibration import UNCALIBRATED
from fakedetect.models.probe.classifier import LinearClassifier
from fakedetect.models.probe.features import (
    Features,
    FrozenBackbone,
    compute_features,
    freeze_backbone,
    make_feature_cache,
)
from fakedetect.models.probe.fitting import (
    check_picture_counts,
    choose_training_pictures,
    fit_cross_validated,
)
from fakedetect.models.probe.folds import Folds, assign_folds
from fakedetect.models.processes import Group

LABEL_STRENGTHS = (0.001, 0.003, 0.01)
"""Candidates for scikit-learn's C; the one with the highest ROC AUC is used."""

LEAST_LABELLED_PICTURES = 20
"""Of each class, not counting copies."""

PICTURES_PER_BLOCK = 1000
"""Pictures that are predicted at a time; bounds the memory."""


@dataclass(frozen=True)
class LabelScores:
    """Held-out p_fake (N,) of the readable pictures, which have these `indices` among all.

    Attributes:
        network: the model whose pretrained network computed the features.
        auc: the ROC AUC of the scores against the labels.
        bad: the unreadable pictures and their reasons.
    """

    network: str
    indices: tuple[int, ...]
    p_fake: np.ndarray
    auc: float
    bad: Mapping[Path, str]


def score_pictures(settings: Settings, console: Console, samples: Sequence[Sample]) -> LabelScores:
    """Predict every picture with a classifier on features of the chosen model's pretrained network.

    Raises:
        UserError: the weights are unavailable, or a class has too few pictures.
    """
    used, frozen = _load_backbone(settings, console)
    console.note(
        f"Extracting features from {plural(len(samples), 'picture')} with {used.model}'s pretrained "
        "network (your checkpoint is not used)"
    )
    found = _compute_features(used, console, frozen, [sample.path for sample in samples])
    readable = [samples[index] for index in found.places]
    margins = _predict_margins(settings, console, readable, found.views[0])
    is_fake = np.array([sample.label == 0 for sample in readable])
    return LabelScores(
        network=used.model,
        indices=found.places,
        p_fake=UNCALIBRATED.probability(margins),
        auc=float(roc_auc_score(is_fake, margins)),
        bad=found.bad,
    )


def _load_backbone(settings: Settings, console: Console) -> tuple[Settings, FrozenBackbone]:
    """Load the chosen model's backbone, or that of the small starter if its weights are unavailable.

    Returns:
        The settings of the model whose backbone it is, and the backbone.
    """
    try:
        return settings, freeze_backbone(settings, console)
    except MissingWeightsError:
        small = find_starter(settings, SMALL_STARTER)
        if small is None:
            raise
    console.warn(
        f"The pretrained weights of {settings.model} cannot be downloaded; using the network of "
        f"{SMALL_STARTER}, which comes with the program."
    )
    adopt_starter(small)
    small = replace(small, probe=replace(small.probe, layers=()))
    return small, freeze_backbone(small, console)


def _compute_features(
    settings: Settings, console: Console, frozen: FrozenBackbone, paths: Sequence[Path]
) -> Features:
    """Compute features without degradations, in the cache that the probe recipe uses too."""
    clean = replace(settings, probe=replace(settings.probe, degraded_views=0))
    with run_lock(settings.model_folder):
        cache = make_feature_cache(settings, frozen, features_file(settings.model_folder))
        return compute_features(clean, console, Group(), frozen.engine, cache, paths)


def _predict_margins(
    settings: Settings, console: Console, samples: Sequence[Sample], features: np.ndarray
) -> np.ndarray:
    """Return held-out margins (N,): neither a picture nor an identical file is in its training set.

    Of many pictures, max_pictures are cross-validated. A classifier that is fitted on all of these predicts
    the rest.

    Args:
        features: (N, D) float16.
    """
    first = _find_first_copies(samples)
    distinct = np.unique(first)
    check_picture_counts(
        [samples[index] for index in distinct], LEAST_LABELLED_PICTURES, "not counting copies"
    )
    most, seed = max(settings.probe.max_pictures, 2 * LEAST_LABELLED_PICTURES), settings.training.seed
    training = distinct[choose_training_pictures([samples[index] for index in distinct], most, seed)]
    # Without sources, pictures are assigned to folds individually, by class.
    folds = assign_folds([replace(samples[index], source="") for index in training], seed)
    is_fake = np.array([samples[index].label == 0 for index in training])
    margins = np.empty(len(samples))
    margins[training], classifier = _cross_validate(console, features[training], is_fake, folds)
    rest = np.setdiff1d(distinct, training)
    for start in range(0, len(rest), PICTURES_PER_BLOCK):
        some = rest[start : start + PICTURES_PER_BLOCK]
        margins[some] = classifier.predict(features[some]) @ (1, -1)
    found: np.ndarray = margins[first]
    return found


def _cross_validate(
    console: Console, features: np.ndarray, is_fake: np.ndarray, folds: Folds
) -> tuple[np.ndarray, LinearClassifier]:
    """Return held-out margins (N,), and the classifier that was fitted on all pictures."""
    # Equal: weights for rare sources would give a few mislabelled pictures the most influence.
    weights = np.ones(len(is_fake))
    with console.progress(len(is_fake), "labels") as progress:
        fitted = fit_cross_validated(
            [features], is_fake, weights, [folds], LABEL_STRENGTHS, progress.advance
        )
    return fitted.margins[0], fitted.classifier


def _find_first_copies(samples: Sequence[Sample]) -> np.ndarray:
    """Return for each picture the index (N,) of the first one with an identical file."""
    paths = [sample.path for sample in samples]
    first = np.arange(len(samples))
    for pair in find_exact_duplicates(paths, [path.stat().st_size for path in paths]):
        first[pair.second] = pair.first
    return first


@dataclass(frozen=True)
class LabelIssues:
    """The findings on N labels.

    Attributes:
        suspected: (N,) bool, off the diagonal of the confident joint.
        leaning: (N,) bool, not suspected, but the other class is more probable.
        order: (N,) indices, the likeliest errors first.
    """

    suspected: np.ndarray
    leaning: np.ndarray
    order: np.ndarray


def find_label_issues(p_fake: np.ndarray, is_fake: np.ndarray) -> LabelIssues:
    """Find labels that are probably wrong by confident learning.

    The threshold of a class is the mean probability of the class over its own pictures. So neither a rare
    class nor one with low probabilities is suspected as a whole. A label is suspected if the other class
    reaches its threshold, and is more probable than the label's class if that reaches its own too (the
    confident joint, equation 1). The order is by self-confidence, the probability of the label. With two
    classes, the normalised margin gives the same order.

    Args:
        p_fake: (N,) held-out probabilities.
        is_fake: (N,) bool, the labels; both classes must occur.
    """
    own = np.where(is_fake, p_fake, 1 - p_fake)
    other = 1 - own
    of_fake, of_real = own[is_fake].mean(), own[~is_fake].mean()
    reaches_own = own >= np.where(is_fake, of_fake, of_real)
    reaches_other = other >= np.where(is_fake, of_real, of_fake)
    suspected = reaches_other & (~reaches_own | (other > own))
    return LabelIssues(suspected, ~suspected & (other > own), np.lexsort((own, ~suspected)))
