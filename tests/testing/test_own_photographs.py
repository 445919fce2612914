"""fit-thresholds --own: a threshold that holds for the user's own photographs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run

import fakedetect
from fakedetect.models.verdicts import fit_own_threshold


@pytest.mark.parametrize("count", [19, 20, 60])
def test_on_average_at_most_one_in_twenty_further_photographs_is_called_fake(count: int) -> None:
    random = np.random.default_rng(count)
    # Of uniform values, the share above a threshold is 1 less it.
    rates = [1 - fit_own_threshold(random.random(count)) for _ in range(4000)]
    assert 0.01 < np.mean(rates) < 0.052


@pytest.fixture
def photographs(trained: Path) -> Path:
    """Thirty of them, one of which is there twice, and a file that is none."""
    folder = trained.parent / "my photographs"
    for seed in range(30):
        paint(folder / f"{seed:02}.jpg", 500 + seed)
    shutil.copy(folder / "07.jpg", folder / "again.jpg")
    (folder / "notes.txt").write_text("mine")
    return folder


def answers(paths: Path, *pictures: Path) -> list[dict[str, object]]:
    found = run("--paths", paths, "check", "--json", "--no-stability", *pictures)
    return [json.loads(line) for line in found.stdout.splitlines()]


def test_the_threshold_is_raised_for_them_and_forgotten_again(trained: Path, photographs: Path) -> None:
    csv = trained.parent / "rows.csv"
    before = answers(trained, *sorted(photographs.glob("[0-9]*.jpg")))
    run("--paths", trained, "check", photographs, "--csv", csv, "--no-stability")
    scores = sorted(row["p_fake"] for row in before)
    called = sum(row["verdict"] == "fake" for row in before)
    assert called > 2, "the fixture's model calls some of them fake"
    measured = run("--paths", trained, "fit-thresholds", "--own", photographs)
    assert measured.returncode == 0, measured.stderr
    saved = json.loads((trained.parent / "model_folders/tiny/own_photographs.json").read_text())
    assert (saved["photographs"], saved["called_fake"]) == (30, called)
    # The thirtieth of thirty: one of 31 is less than 5 %, two are more.
    assert (
        saved["fake_from"] == pytest.approx(scores[-1], abs=1e-5) and saved["fake_from"] > scores[-1] - 1e-6
    )
    assert f"{called} of 30 photographs" in measured.stdout and "--forget-own" in measured.stdout

    after = answers(trained, *sorted(photographs.glob("[0-9]*.jpg")))
    assert [row["p_fake"] for row in after] == [row["p_fake"] for row in before]
    assert {row["verdict"] for row in after} <= {"real", "unsure"}
    assert after[0]["thresholds"]["tiny"]["fake_from"] == saved["fake_from"]
    changed = next(row["path"] for row in before if row["verdict"] == "fake")
    shown = run("--paths", trained, "check", changed, "--no-stability").stdout
    assert f"{100 * saved['fake_from']:.1f} %" in shown and "your own photographs" in shown
    detector = fakedetect.load("tiny", paths=trained, stability="none")
    assert detector.check(changed).own_threshold == saved["fake_from"]
    page = trained.parent / "page.html"
    run("--paths", trained, "check", photographs, "--html", page, "--no-stability")
    text = page.read_text(encoding="utf-8")
    assert f"p(fake) {100 * saved['fake_from']:.1f} % or above" in text and "30 photographs" in text
    # The estimate goes by the user's photographs: one in 31 at most is called fake.
    details = run("--paths", trained, "check", changed, "--details", "--no-stability").stdout
    assert "3.2 % of 30 real pictures" in details and "30 photographs of your own" in details
    # Rows judged by another threshold are judged again.
    again = run("--paths", trained, "check", photographs, "--csv", csv, "--no-stability").stdout
    assert "0 fake" in again.splitlines()[-1]

    assert run("--paths", trained, "fit-thresholds", "--forget-own").returncode == 0
    assert answers(trained, *sorted(photographs.glob("[0-9]*.jpg"))) == before
    assert run("--paths", trained, "fit-thresholds", "--forget-own").returncode == 0


def test_check_names_the_command_until_they_were_measured(trained: Path, photographs: Path) -> None:
    assert "fit-thresholds --own FOLDER" in run("--paths", trained, "check", photographs).stdout
    run("--paths", trained, "fit-thresholds", "--own", photographs)
    # One that is fake all the same.
    fakes = trained.parent / "dataset/test/fake"
    assert "--own" not in run("--paths", trained, "check", fakes, photographs).stdout


def test_too_few_photographs_and_other_mistakes_are_one_line(trained: Path, photographs: Path) -> None:
    file = trained.parent / "model_folders/tiny/own_photographs.json"
    for number in range(13):
        (photographs / f"{number:02}.jpg").unlink()
    for arguments, said in (
        (["--own", photographs], "19"),
        (["--own", trained.parent / "nowhere"], "nowhere"),
        (["--own", photographs, "--forget-own"], "--forget-own"),
    ):
        ended = run("--paths", trained, "fit-thresholds", *arguments)
        assert ended.returncode == 2 and said in ended.stderr and not file.exists()
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
    file.write_text('{"checkpoint": 3}')
    broken = run("--paths", trained, "check", photographs)
    assert broken.returncode == 2 and "--forget-own" in broken.stderr and str(file) in broken.stderr
    run("--paths", trained, "fit-thresholds", "--forget-own")
    assert run("--paths", trained, "check", photographs).returncode == 0


def test_it_does_not_hold_for_another_checkpoint(trained: Path, photographs: Path) -> None:
    run("--paths", trained, "fit-thresholds", "--own", photographs)
    file = trained.parent / "model_folders/tiny/own_photographs.json"
    saved = json.loads(file.read_text())
    file.write_text(json.dumps({**saved, "checkpoint": "0" * 64}))
    rows = answers(trained, *sorted(photographs.glob("[0-9]*.jpg")))
    assert rows[0]["thresholds"]["tiny"]["fake_from"] == 0.5
