"""The test of stability of check: where it is made, and what it changes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import run

from fakedetect.checking.checker import Checker
from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.images import views
from fakedetect.images.degradations import STABILITY_DEGRADATIONS
from fakedetect.metrics.calibration import Calibration
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.verdicts import FLIP_MARGIN, decide_verdict, may_flip

FITTED = Calibration(temperature=1.0, fake_from=0.6, real_below=0.3, fitted=True)


def margin_of(p_fake: float) -> float:
    return float(np.log(p_fake / (1 - p_fake)))


def test_within_the_unsure_band_nothing_is_turned() -> None:
    views = np.array([margin_of(p) for p in (0.55, 0.45, 0.4, 0.55, 0.5)])
    found = decide_verdict(FITTED, views, STABILITY_DEGRADATIONS)
    assert (found.verdict, found.stability) == ("unsure", "stable")
    # Out of the band it is, and so is a verdict that falls into it across one half.
    far = decide_verdict(
        FITTED, np.array([margin_of(p) for p in (0.55, 0.2, 0.55, 0.55, 0.55)]), STABILITY_DEGRADATIONS
    )
    assert far.flips == ("real after JPEG 70",)
    sure = decide_verdict(
        FITTED, np.array([margin_of(p) for p in (0.65, 0.45, 0.65, 0.65, 0.65)]), STABILITY_DEGRADATIONS
    )
    assert (sure.verdict, sure.flips) == ("unsure", ("real after JPEG 70",))


@pytest.mark.parametrize(
    ("p_fake", "expected"),
    [(0.61, True), (0.5 + FLIP_MARGIN + 0.01, False), (0.55, False), (0.299, False), (0.9, False)],
)
def test_only_sure_answers_near_one_half_may_be_turned(p_fake: float, expected: bool) -> None:
    assert may_flip(FITTED, p_fake) == expected
    assert not may_flip(Calibration(), p_fake)


def set_thresholds(paths: Path, pictures: list[Path], share: float) -> None:
    """Let the probabilities of these pictures lie around one half, and almost all be fake or real."""
    file = paths.parent / "model_folders/tiny/training.json"
    facts = json.loads(file.read_text())
    detector = load_detector(load_settings(paths), Console(quiet=True))
    rows = [Checker([detector], "none").check_one(path) for path in pictures]
    margins = [abs(np.log(row.p_fake_raw / (1 - row.p_fake_raw))) for row in rows if 0 < row.p_fake_raw < 1]
    at = margin_of(0.5 + FLIP_MARGIN)
    facts["calibration"] |= {
        "temperature": float(np.quantile(margins, share)) / at, "fake_from": 0.501, "real_below": 0.499,
    }  # fmt: skip
    file.write_text(json.dumps(facts))


def read_rows(paths: Path, *options: str) -> dict[str, dict[str, str]]:
    out = paths.parent / f"{'_'.join(options) or 'auto'}.csv"
    result = run("--paths", paths, "check", paths.parent / "dataset/test", "--csv", out, *options)
    assert result.returncode == 0, result.stderr
    with out.open(encoding="utf-8-sig", newline="") as opened:
        return {row["path"]: row for row in csv.DictReader(opened)}


def test_only_pictures_near_one_half_are_looked_at_again(trained: Path) -> None:
    pictures = sorted((trained.parent / "dataset/test").rglob("*.jpg"))
    set_thresholds(trained, pictures, 0.4)
    auto = read_rows(trained)
    every, none = read_rows(trained, "--stability", "all"), read_rows(trained, "--no-stability")
    assert len(auto) == len(pictures) == len(every)
    assert all(row["stability"] for row in every.values())
    assert not any(row["stability"] for row in none.values())
    tested = 0
    for path, row in auto.items():
        p_fake = float(none[path]["p_fake"])
        near = abs(p_fake - 0.5) < FLIP_MARGIN and none[path]["verdict"] != "unsure"
        assert bool(row["stability"]) == near, row
        wanted = every[path] if near else none[path]
        assert (row["verdict"], row["stability"]) == (
            wanted["verdict"],
            wanted["stability"] if near else "",
        )
        assert row["sha256"] == wanted["sha256"] and row["bytes"]
        tested += near
    assert 0 < tested < len(auto)
    # Rows of one kind do not hold for another.
    result = run("--paths", trained, "check", pictures[0], "--csv", trained.parent / "auto.csv",
                 "--no-stability")  # fmt: skip
    assert "1 with other thresholds or options" in result.stdout


def test_changed_views_are_made_of_the_few_alone(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = sorted((trained.parent / "dataset/test").rglob("*.jpg"))
    set_thresholds(trained, pictures, 0.4)
    made: list[object] = []
    degrade = views.degrade
    monkeypatch.setattr(views, "degrade", lambda image, how: made.append(how) or degrade(image, how))
    checker = Checker([load_detector(load_settings(trained), Console(quiet=True))], "auto")
    tested = sum(bool(checker.check_one(path).stability) for path in pictures)
    assert 0 < tested < len(pictures) and len(made) == tested * len(STABILITY_DEGRADATIONS)


def test_of_several_models_each_may_ask_for_a_second_look(trained: Path) -> None:
    pictures = sorted((trained.parent / "dataset/test").rglob("*.jpg"))
    set_thresholds(trained, pictures, 0.4)
    near = load_detector(load_settings(trained), Console(quiet=True))
    set_thresholds(trained, pictures, 0.0)
    far: Detector = load_detector(load_settings(trained), Console(quiet=True))
    alone = {path for path in pictures if Checker([near], "auto").check_one(path).stability}
    far_alone = {path for path in pictures if Checker([far], "auto").check_one(path).stability}
    together = {path for path in pictures if Checker([far, near], "auto").check_one(path).stability}
    assert together == alone | far_alone and alone and together < set(pictures)
