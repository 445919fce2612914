"""Thresholds keep their guarantee on new sources, simulated here."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import HeldOutScores
from fakedetect.metrics.calibration import Calibration
from fakedetect.metrics.held_out import (
    calibrate_held_out,
    describe_needed_sources,
    make_guarantee,
    measure_held_out,
)

MEAN = 1.2
"""The mean margin of a class: so small that no threshold stops at 0.5."""


def draw_sources(random: np.random.Generator, count: int, mean: float) -> dict[str, tuple[float, ...]]:
    """Draw sources of unequal sizes, each with its own mean margin."""
    sizes = random.integers(5, 80, count)
    values = [random.normal(random.normal(mean, 1.5), 1, size) for size in sizes]
    return {str(number): tuple(of_source.tolist()) for number, of_source in enumerate(values)}


def draw_scores(random: np.random.Generator, fakes: int = 20, reals: int = 25) -> HeldOutScores:
    return HeldOutScores(
        checkpoint="0",
        fakes_by_source=True,
        reals_by_source=True,
        fake=draw_sources(random, fakes, MEAN),
        real=draw_sources(random, reals, -MEAN),
    )


def score(margins: dict[str, dict[str, tuple[float, ...]]], by_source: bool) -> HeldOutScores:
    return HeldOutScores(checkpoint="0", fakes_by_source=by_source, reals_by_source=by_source, **margins)


@pytest.mark.parametrize(("alarms", "missed"), [(0.05, 0.1), (0.1, 0.2), (0.2, 0.05)])
def test_the_guarantee_holds_for_new_sources_on_average_and_is_not_far_from_the_rate(
    alarms: float, missed: float
) -> None:
    random = np.random.default_rng(int(1000 * alarms))
    found = []
    for _ in range(300):
        saved = calibrate_held_out(draw_scores(random), alarms, missed)
        further = draw_sources(random, 20, -MEAN), draw_sources(random, 20, MEAN)
        called = [[expit(np.array(v) / saved.temperature) for v in of.values()] for of in further]
        found.append(
            (
                np.mean([(p >= saved.fake_from).mean() for p in called[0]]),
                np.mean([(p < saved.real_below).mean() for p in called[1]]),
            )
        )
    rates = np.mean(found, axis=0)
    error = 3 * np.std(found, axis=0) / np.sqrt(len(found))
    assert rates[0] <= alarms + error[0] and rates[1] <= missed + error[1]
    assert rates[0] > alarms - 0.05 - error[0] and rates[1] > missed - 0.05 - error[1]


def test_counting_pictures_instead_of_sources_would_break_the_guarantee() -> None:
    # A threshold at the pictures' own quantile lets more through.
    random = np.random.default_rng(2)
    by_sources, by_pictures = [], []
    for _ in range(300):
        scores = draw_scores(random, reals=20)
        saved = calibrate_held_out(scores, 0.05, 0.1)
        margins = np.concatenate([np.array(values) for values in scores.real.values()])
        plain = np.quantile(margins, 0.95)
        bound = saved.temperature * np.log(saved.fake_from / (1 - saved.fake_from))
        further = [np.array(values) for values in draw_sources(random, 20, -MEAN).values()]
        by_sources.append(np.mean([(values > bound).mean() for values in further]))
        by_pictures.append(np.mean([(values > plain).mean() for values in further]))
    assert np.mean(by_sources) <= 0.05 < np.mean(by_pictures)


def test_the_figures_are_those_of_scikit_learn_with_wider_intervals_for_fewer_sources() -> None:
    random = np.random.default_rng(7)
    scores = draw_scores(random)
    found = measure_held_out(scores)
    fakes, reals = (np.concatenate([np.array(v) for v in of.values()]) for of in (scores.fake, scores.real))
    labels = np.arange(len(fakes) + len(reals)) < len(fakes)
    assert found.auc.value == pytest.approx(roc_auc_score(labels, np.concatenate([fakes, reals])))
    least = np.sort(reals)[int(np.ceil(0.95 * len(reals))) - 1]
    assert found.fake_recall_at_5.value == pytest.approx((fakes > least).mean())
    name = next(iter(scores.fake))
    of_family = np.array(scores.fake[name])
    labels = np.arange(len(of_family) + len(reals)) < len(of_family)
    expected = roc_auc_score(labels, np.concatenate([of_family, reals]))
    assert found.families[name].auc.value == pytest.approx(expected)
    few = measure_held_out(draw_scores(random, 4, 4))

    def width(measured: object) -> float:
        return measured.auc.high - measured.auc.low

    assert width(few) > width(found) > 0


@pytest.mark.parametrize("sources", [1, 2, 6])
def test_a_perfect_result_of_few_pictures_is_not_certain(sources: int) -> None:
    apart = {
        label: {str(number): tuple(sign * (1 + np.arange(5.0))) for number in range(sources)}
        for label, sign in (("fake", 1), ("real", -1))
    }
    found = measure_held_out(score(apart, sources > 1))
    for figure in (found.auc, found.fake_recall_at_5):
        assert figure.value == figure.high == 1 and 0.1 < figure.low < 0.9


def test_of_one_source_a_class_the_pictures_are_drawn() -> None:
    random = np.random.default_rng(3)
    one = {label: {"": tuple(random.normal(mean, 1, 60))} for label, mean in (("fake", 1), ("real", -1))}
    found = measure_held_out(score(one, False))
    assert 0.03 < found.auc.high - found.auc.low < 0.2
    assert 0.1 < found.fake_recall_at_5.high - found.fake_recall_at_5.low < 0.6


def test_too_few_sources_are_refused_with_the_rate_that_they_allow() -> None:
    scores = draw_scores(np.random.default_rng(1), 12, 30)
    with pytest.raises(UserError, match=r"12 families of fakes are too few .* Give --max-missed 0\.077"):
        calibrate_held_out(scores, 0.05, 0.05)
    assert calibrate_held_out(scores, 0.05, 0.077).max_missed == 0.077
    # Without options, the rate is one for which there are enough sources.
    assert calibrate_held_out(scores).max_missed == pytest.approx(0.154)
    assert calibrate_held_out(scores).max_false_alarms == pytest.approx(0.066)


def test_the_auc_of_pictures_of_one_shape_excludes_the_effect_of_shape() -> None:
    random = np.random.default_rng(11)
    scores = draw_scores(random)
    often = {"fake": 0.9, "real": 0.2}
    drawn = {
        label: {
            source: np.where(random.random(len(values)) < often[label], "square", "wide")
            for source, values in getattr(scores, label).items()
        }
        for label in often
    }

    def moved(by: float) -> HeldOutScores:
        """Make the margins of a model that takes square pictures for fakes."""
        margins = {
            label: {
                source: tuple(np.array(values) + by * (drawn[label][source] == "square"))
                for source, values in getattr(scores, label).items()
            }
            for label in often
        }
        return score(margins, True)

    shapes = tuple({source: tuple(values) for source, values in drawn[label].items()} for label in often)
    plain, cheating = measure_held_out(scores, shapes), measure_held_out(moved(5.0), shapes)
    assert cheating.auc.value > plain.auc.value + 0.03
    assert cheating.auc_same_shape.value == pytest.approx(plain.auc_same_shape.value)
    fakes, reals = (np.concatenate([np.array(v) for v in of.values()]) for of in (scores.fake, scores.real))
    square = [np.concatenate(list(drawn[label].values())) == "square" for label in often]
    pairs = square[0][:, None] == square[1][None, :]
    won = (fakes[:, None] > reals[None, :])[pairs].mean()
    assert plain.auc_same_shape.value == pytest.approx(won)
    assert plain.auc_same_shape.low < won < plain.auc_same_shape.high
    # Unknown shapes are in no pair. With only one shape, or none, nothing can be excluded.
    unknown = tuple({source: ("",) * len(values) for source, values in of.items()} for of in shapes)
    assert measure_held_out(scores, unknown).auc_same_shape is None
    assert measure_held_out(scores).auc_same_shape is None
    apart = tuple(
        {source: (shape,) * len(values) for source, values in of.items()}
        for of, shape in zip(shapes, ("square", "tall"), strict=True)
    )
    assert measure_held_out(scores, apart).auc_same_shape.value is None


def test_the_null_of_held_out_sources_leaves_out_unknown_files() -> None:
    scores = draw_scores(np.random.default_rng(2))
    assert measure_held_out(scores).null_auc is None
    # As a model's margins, but for pictures whose file is unknown.
    null = tuple(
        {source: (*values, float("nan")) for source, values in of.items()} | {"lost": (float("nan"),)}
        for of in (scores.fake, scores.real)
    )
    found = measure_held_out(scores, null=null)
    assert found.null_auc == found.auc


def test_the_picture_at_a_threshold_is_excluded_and_shares_are_those_of_the_verdicts() -> None:
    """Margins that differ in their last bit have the same probability."""
    random = np.random.default_rng(8)
    for spread in (1.0, 5.0, 20.0):
        fakes, reals = (
            {f"{number}/": tuple(random.normal(mean, spread, 9).tolist()) for number in range(40)}
            for mean in (2 * spread, -2 * spread)
        )
        scores = HeldOutScores(
            checkpoint="", fakes_by_source=True, reals_by_source=True, fake=fakes, real=reals
        )
        found = calibrate_held_out(scores, 0.1, 0.1)
        calibration = Calibration(found.temperature, found.fake_from, found.real_below, fitted=True)

        def share(groups: dict[str, tuple[float, ...]], verdict: str, of: Calibration) -> float:
            return float(
                np.mean(
                    [
                        np.mean([of.verdict(p) == verdict for p in of.probability(np.array(values))])
                        for values in groups.values()
                    ]
                )
            )

        for label, groups, verdict, most, said in (
            ("real", reals, "fake", found.max_false_alarms, found.validation.real_called_fake),
            ("fake", fakes, "real", found.max_missed, found.validation.fake_called_real),
        ):
            assert said == pytest.approx(share(groups, verdict, calibration))
            bound = make_guarantee(scores, label, most).bound()
            at = float(calibration.probability(np.array([bound if label == "real" else -bound]))[0])
            assert calibration.verdict(at) != verdict


def test_the_sources_with_most_errors_are_named_if_their_rate_is_above_that_of_all() -> None:
    # The threshold for 5 % of 200 real pictures is 0: 7 + 3 are above it.
    reals = {
        "large": (-1.0,) * 152 + (0.0,) + (1.0,) * 7,
        "odd": (-1.0,) * 17 + (1.0,) * 3,
        "fine": (-1.0,) * 20,
    }
    fakes = {
        "a/one": (1.0,) * 10,
        "a/two": (-1.0,) * 10,
        "b": (-1.0,) * 3 + (1.0,) * 27,
        "c": (0.0,) * 4,
    }
    of_reals, of_fakes = describe_needed_sources(score({"fake": fakes, "real": reals}, True))
    assert "Of 10 false positives" in of_reals and "3 from odd (15 % of its 20)" in of_reals
    # It holds most false positives, but fewer than its share of the pictures.
    assert "large" not in of_reals and "fine" not in of_reals
    assert "Of 17 missed fakes" in of_fakes
    assert "10 from a (50 % of its 20), 4 from c (100 % of its 4)" in of_fakes and " b " not in of_fakes
    (only,) = describe_needed_sources(score({"fake": {"": fakes["b"]}, "real": {"": reals["odd"]}}, False))
    assert "fakes from more generators and real pictures from more sources" in only
