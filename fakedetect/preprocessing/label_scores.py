"""p(fake) of labelled pictures, each by a line that was fitted without it, on a network's frozen features.

Frozen, for a network that was trained on these pictures has learnt their labels by heart, the wrong ones
too. Confident learning then says which labels are probably wrong: Northcutt, Jiang and Chuang 2021,
'Confident Learning: Estimating Uncertainty in Dataset Labels', Journal of Artificial Intelligence
Research 70. Their package, cleanlab, does this for any number of classes; for two it is a few lines.
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
    Folds,
    assign_folds,
    check_picture_counts,
    choose_training_pictures,
    fit_cross_validated,
)
from fakedetect.models.processes import Group

STRENGTHS = (0.001, 0.003, 0.01)
"""scikit-learn's C; of these the one is taken that tells the labels apart best."""

LEAST = 20
"""Pictures of each class that are needed, none of them twice."""

AT_A_TIME = 1000


@dataclass(frozen=True)
class Scores:
    """p_fake (N,) of the readable pictures, at these `places` among all.

    Attributes:
        network: the model whose pretrained network has looked at them.
        auc: how well the scores tell the labels apart.
        bad: the reasons of the unreadable ones.
    """

    network: str
    places: tuple[int, ...]
    p_fake: np.ndarray
    auc: float
    bad: Mapping[Path, str]


def score_pictures(settings: Settings, console: Console, samples: Sequence[Sample]) -> Scores:
    """Look at every picture with the chosen model's pretrained network, and judge it by the others.

    Raises:
        UserError: the network or its weights are not to be had, or there are too few pictures of a class.
    """
    used, frozen = _freeze(settings, console)
    console.note(
        f"Extracting features from {plural(len(samples), 'picture')} with {used.model}'s pretrained "
        "network (your checkpoint is not used)"
    )
    found = _look(used, console, frozen, [sample.path for sample in samples])
    readable = [samples[place] for place in found.places]
    margins = _judge(settings, console, readable, found.views[0])
    is_fake = np.array([sample.label == 0 for sample in readable])
    return Scores(
        network=used.model,
        places=found.places,
        p_fake=UNCALIBRATED.probability(margins),
        auc=float(roc_auc_score(is_fake, margins)),
        bad=found.bad,
    )


def _freeze(settings: Settings, console: Console) -> tuple[Settings, FrozenBackbone]:
    """The chosen model's backbone, or where its weights are not to be had that of the small starter.

    Returns:
        The settings with the model chosen whose backbone it is, and the backbone.
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


def _look(settings: Settings, console: Console, frozen: FrozenBackbone, paths: Sequence[Path]) -> Features:
    """The features of the pictures as they are; kept where the probe recipe keeps the same ones."""
    clean = replace(settings, probe=replace(settings.probe, degraded_views=0))
    with run_lock(settings.model_folder):
        cache = make_feature_cache(settings, frozen, features_file(settings.model_folder))
        return compute_features(clean, console, Group(), frozen.engine, cache, paths)


def _judge(
    settings: Settings, console: Console, samples: Sequence[Sample], features: np.ndarray
) -> np.ndarray:
    """Margins (N,) of pictures by lines that have learnt from none of them, nor from a file of the same
    bytes.

    Of many pictures max_pictures are learnt from, in folds; the line of all of these judges the rest.

    Args:
        features: (N, D) float16.
    """
    first = _first_of_its_bytes(samples)
    alone = np.unique(first)
    check_picture_counts([samples[place] for place in alone], LEAST, "not counting copies")
    most, seed = max(settings.probe.max_pictures, 2 * LEAST), settings.training.seed
    learners = alone[choose_training_pictures([samples[place] for place in alone], most, seed)]
    # Without their sources they are dealt out one by one, each class on its own.
    folds = assign_folds([replace(samples[place], source="") for place in learners], seed)
    is_fake = np.array([samples[place].label == 0 for place in learners])
    margins = np.empty(len(samples))
    margins[learners], line = _judge_in_folds(console, features[learners], is_fake, folds)
    rest = np.setdiff1d(alone, learners)
    for start in range(0, len(rest), AT_A_TIME):
        some = rest[start : start + AT_A_TIME]
        margins[some] = line.predict(features[some]) @ (1, -1)
    found: np.ndarray = margins[first]
    return found


def _judge_in_folds(
    console: Console, features: np.ndarray, is_fake: np.ndarray, folds: Folds
) -> tuple[np.ndarray, LinearClassifier]:
    """Margins (N,) of pictures by the lines of the other folds, and the line of all of them."""
    # A weight for rare sources would trust a few misplaced pictures the most.
    alike = np.ones(len(is_fake))
    with console.progress(len(is_fake), "labels") as progress:
        fitted = fit_cross_validated([features], is_fake, alike, folds, STRENGTHS, progress.advance)
    return fitted.margins, fitted.classifier


def _first_of_its_bytes(samples: Sequence[Sample]) -> np.ndarray:
    """For each picture the place (N,) of the first one whose file has the same bytes."""
    paths = [sample.path for sample in samples]
    first = np.arange(len(samples))
    for pair in find_exact_duplicates(paths, [path.stat().st_size for path in paths]):
        first[pair.second] = pair.first
    return first


@dataclass(frozen=True)
class Doubts:
    """What is to be thought of N labels.

    Attributes:
        suspected: (N,) bool, those off the diagonal of the confident joint.
        leaning: (N,) bool, the others of which the other class is the more probable one.
        order: (N,) their places, the likeliest mistakes first.
    """

    suspected: np.ndarray
    leaning: np.ndarray
    order: np.ndarray


def doubt_labels(p_fake: np.ndarray, is_fake: np.ndarray) -> Doubts:
    """Compare scores with labels.

    A class's threshold is the mean probability that its own pictures have of it, so that neither a rare
    class nor one that is seldom sure of itself is suspected as a whole. A label is suspected where the
    other class reaches its threshold, and is the more probable one if the label's own does too (the
    confident joint, equation 1). The order is by self-confidence, the probability of the label; with two
    classes the normalised margin gives the same one.

    Args:
        p_fake: (N,) each by a model that has not learnt from that picture.
        is_fake: (N,) bool, the labels; both classes are among them.
    """
    own = np.where(is_fake, p_fake, 1 - p_fake)
    other = 1 - own
    of_fake, of_real = own[is_fake].mean(), own[~is_fake].mean()
    sure_of_own = own >= np.where(is_fake, of_fake, of_real)
    sure_of_other = other >= np.where(is_fake, of_real, of_fake)
    suspected = sure_of_other & (~sure_of_own | (other > own))
    return Doubts(suspected, ~suspected & (other > own), np.lexsort((own, ~suspected)))
