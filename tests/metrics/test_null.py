"""What the size and the format of files alone would score, next to a model's figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run
from sklearn.metrics import roc_auc_score

from fakedetect.core.records.evaluation import Measure
from fakedetect.metrics.null import describe_null, measure_null, score_files


def draw_files(count: int, seed: int) -> list[tuple[int, int, int, str]]:
    random = np.random.default_rng(seed)
    return [(*map(int, random.integers(200, 900, 3)), "JPEG") for _ in range(count)]


def test_files_of_one_kind_say_nothing_and_a_format_says_all() -> None:
    is_fake = np.arange(400) % 2 == 0
    alike = draw_files(400, 1)
    found = measure_null(alike, is_fake)
    assert found and found.low < 0.5 < found.high
    apart = [(*file[:3], "PNG" if fake else "JPEG") for file, fake in zip(alike, is_fake, strict=True)]
    assert measure_null(apart, is_fake).value == pytest.approx(1.0)
    # An unknown file is left out, with its label.
    gaps = [None if number % 3 == 0 else file for number, file in enumerate(apart)]
    assert measure_null(gaps, is_fake).value == pytest.approx(1.0)


def test_few_known_files_have_no_null() -> None:
    is_fake = np.arange(60) < 30
    files = [None if number < 11 else file for number, file in enumerate(draw_files(60, 2))]
    assert measure_null(files, is_fake) is None
    assert measure_null([*files[:10], *draw_files(50, 3)], is_fake) is not None


def test_what_marks_a_source_does_not_separate_held_out_sources() -> None:
    random = np.random.default_rng(4)
    sources = np.arange(600) % 20
    is_fake = sources < 10
    widths = random.permutation(20)[sources] * 50 + 200
    files = [(int(width), 300, int(random.integers(10_000)), "JPEG") for width in widths]
    assert measure_null(files, is_fake).value > 0.95
    # Two sources of each class a fold.
    scores = score_files(files, is_fake, sources % 5)
    assert roc_auc_score(is_fake, scores) < 0.7
    # A fold that leaves the known files of one class alone has no classifier.
    gaps = [
        file if number % 2 or source else None
        for number, (file, source) in enumerate(zip(files, sources, strict=True))
    ]
    scores = score_files(gaps, is_fake, np.where(is_fake, 0, 1))
    assert np.isnan(scores).tolist() == [file is None for file in gaps]
    assert len(set(scores[~np.isnan(scores)])) == 1


def test_a_model_that_is_no_better_than_its_null_gets_a_line() -> None:
    null = Measure(value=0.9, low=0.85, high=0.94)
    assert describe_null(Measure(value=0.92, low=0.88, high=0.95), null)
    assert not describe_null(Measure(value=0.99, low=0.98, high=1.0), null)
    # Neither knows anything.
    assert not describe_null(Measure(value=0.52, low=0.4, high=0.6), Measure(value=0.5, low=0.4, high=0.6))
    assert not describe_null(Measure(value=0.9, low=0.8, high=0.95), None)


def test_evaluate_the_report_and_the_card_have_it(trained: Path) -> None:
    other = trained.parent / "other"
    for number in range(20):
        paint(other / "fake" / f"{number}.png", 900 + number)
        paint(other / "real" / f"{number}.jpg", 950 + number)
    shown = run("--paths", trained, "evaluate", "--data", other)
    assert shown.returncode == 0, shown.stderr
    folder = trained.parent / "model_folders/tiny"
    null = json.loads((folder / "evaluation.json").read_text())["foreign"]["other"]["null_auc"]
    assert null["value"] == pytest.approx(1.0) and null["low"] < 1
    line = next(line for line in shown.stdout.splitlines() if "size and format alone" in line)
    assert line.split()[-4:] == [
        f"{null['value']:.3f}",
        f"({null['low']:.3f}",
        "to",
        f"{null['high']:.3f})",
    ]
    assert any(line.startswith("Size and format of") for line in shown.stdout.splitlines())
    assert run("--paths", trained, "report").returncode == 0
    report = (folder / "report.html").read_text()
    assert "size and format alone" in report and "Size and format of" in report
