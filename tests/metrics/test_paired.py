"""Models and fits are compared on the same pictures."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import HeldOutScores, read_held_out_scores, write_held_out_scores
from fakedetect.metrics.paired import compute_mcnemar_p, describe_change, measure_change

Pictures = dict[str, dict[str, float]]
"""The margins of a class by source and picture."""


def score(fake: Pictures, real: Pictures, by_source: bool = True) -> HeldOutScores:
    def split(pictures: Pictures) -> tuple[dict, dict]:
        margins = {source: tuple(of_source.values()) for source, of_source in pictures.items()}
        return margins, {source: tuple(of_source) for source, of_source in pictures.items()}

    (fakes, fake_pictures), (reals, real_pictures) = split(fake), split(real)
    return HeldOutScores(
        checkpoint="0",
        fakes_by_source=by_source,
        reals_by_source=by_source,
        fake=fakes,
        real=reals,
        fake_pictures=fake_pictures,
        real_pictures=real_pictures,
    )


def draw(fakes: int, low: float) -> HeldOutScores:
    """40 fakes, of which so many have a margin of 2 and the others `low`; 40 reals from -1 to 1."""
    return score(
        {"flux": {str(number): 2.0 if number < fakes else low for number in range(40)}},
        {"phone": {str(number): float(margin) for number, margin in enumerate(np.linspace(-1, 1, 40))}},
    )


def test_mcnemar_is_the_exact_binomial_test() -> None:
    a = np.array([True] * 8 + [False] * 2)
    # 8 against 2 discordant pairs: 2 * (1 + 10 + 45) / 1024.
    assert compute_mcnemar_p(a, ~a) == pytest.approx(112 / 1024)
    assert compute_mcnemar_p(a, a) == 1


def test_two_fits_are_compared_on_the_pictures_of_both_in_any_order() -> None:
    random = np.random.default_rng(4)
    names = [str(number) for number in range(60)]
    before, now = (
        {
            label: {
                source: dict(zip(names, random.normal(mean, 1.5, 60).tolist(), strict=True))
                for source in ("a", "b")
            }
            for label, mean in (("fake", 1), ("real", -1))
        }
        for _ in range(2)
    )
    common = [
        np.concatenate([np.array(list(fit[label]["a"].values())) for label in ("fake", "real")])
        for fit in (before, now)
    ]
    before["fake"] = {"a": before["fake"]["a"], "removed": before["fake"]["b"]}
    before["real"] = {"a": before["real"]["a"]}
    del now["fake"]["b"]
    now["fake"]["a"] = {"added": -9.0} | dict(reversed(now["fake"]["a"].items()))
    now["real"]["a"] |= {"added": 9.0}
    found = measure_change(score(**before), score(**now))
    assert found and found.pictures == 120 and not found.same
    labels, right = np.arange(120) < 60, []
    for margins, auc, recall in zip(common, found.auc, found.recall, strict=True):
        assert auc == pytest.approx(roc_auc_score(labels, margins))
        # At most 3 of 60 real pictures are called fake.
        least = np.sort(margins[60:])[-4]
        assert recall == pytest.approx((margins[:60] > least).mean())
        right.append((margins > least) == labels)
    assert found.gained == (right[1] & ~right[0]).sum() > 0
    assert found.lost == (right[0] & ~right[1]).sum() > 0
    assert found.p == pytest.approx(compute_mcnemar_p(*right))


@pytest.mark.parametrize(
    ("fakes", "low", "conclusion"),
    [
        (30, 0.0, "it helped"),
        (12, 0.0, "no sure"),
        (1, 0.0, "worse"),
        (10, 0.5, "no sure"),
        (10, 0.0, "same"),
    ],
)
def test_only_a_significant_change_is_called_better_or_worse(
    fakes: int, low: float, conclusion: str
) -> None:
    lines = describe_change(draw(10, 0.0), draw(fakes, low))
    assert "on the 80 held-out pictures of both" in lines[0] and conclusion in lines[-1]
    if conclusion == "it helped":
        assert "25.0 % -> 75.0 %" in lines[0] and "20 pictures newly right, 0 newly wrong" in lines[1]


def test_fits_that_have_nothing_comparable_are_not_compared() -> None:
    now = draw(10, 0.0)
    assert describe_change(None, now) == []
    # A file of an earlier version.
    assert describe_change(msgspec.structs.replace(now, fake_pictures={}, real_pictures={}), now) == []
    assert describe_change(score({"flux": {"x": 1.0}}, {"phone": {"0": 0.0}}), now) == []
    by_picture = msgspec.structs.replace(now, reals_by_source=False)
    assert "Not compared" in "".join(describe_change(by_picture, now))


def test_scores_without_their_pictures_are_refused_in_one_line(tmp_path: Path) -> None:
    write_held_out_scores(tmp_path, draw(10, 0.0))
    file = tmp_path / "out_of_fold.json"
    assert read_held_out_scores(tmp_path, "0", "train")
    file.write_text(file.read_text(encoding="utf-8").replace('      "7",\n', ""), encoding="utf-8")
    with pytest.raises(UserError, match="each margin needs a picture"):
        read_held_out_scores(tmp_path, "0", "train")
