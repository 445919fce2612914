"""Option 5 and aligned copies, through the commands and their files."""

import csv
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import leave_figures_out, paint, run
from PIL import Image

from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.preprocessing.audit import CATEGORY_PHRASES, FLAG_PHRASES, NUMBER_PHRASES, audit_shortcuts
from fakedetect.preprocessing.duplicates import find_duplicates
from fakedetect.preprocessing.explore import explore_dataset
from fakedetect.preprocessing.near_duplicates import Fingerprint, find_near_duplicates


def fill(project: Path, fake: str, real: str, count: int = 30, **size: tuple[int, int]) -> Path:
    folder = project.parent / "dataset/train"
    for number in range(count):
        paint(folder / "fake" / f"{number:04}{fake}", number, size.get("fake_size", (300, 260)))
        paint(folder / "real" / f"{number:04}{real}", 500 + number, size.get("real_size", (300, 260)))
    return folder


def explore(project: Path, on: str) -> tuple[dict, str]:
    """The audit, and the text on standard error."""
    result = run("--paths", project, "explore", "--on", on)
    assert result.returncode == 0, result.stderr
    return json.loads((project.parent / "explore" / on / "audit.json").read_text()), result.stderr


def audit(project: Path, on: str) -> dict:
    return explore(project, on)[0]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_figures_out(monkeypatch)


def test_a_format_gap_is_reported_and_aligned_copies_close_it(project: Path, undrawn: None) -> None:
    random = np.random.default_rng(2)
    for number in range(80):
        # Grain of every strength: what a JPEG leaves in a picture is lost in it.
        grain = random.normal(128, random.uniform(5, 60), (260, 260, 3)).clip(0, 255)
        label, ending = (("fake", "png"), ("real", "jpg"))[number % 2]
        path = project.parent / "dataset/train" / label / f"{number:04}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grain.astype(np.uint8)).save(path, quality=98)
    found = audit(project, "original")
    assert found["auc"] > 0.95 and found["auc_low"] <= found["auc"] <= found["auc_high"]
    assert {"format", "extension"} <= {feature["name"] for feature in found["features"][:4]}
    assert run("--paths", project, "resize").returncode == 1, "two folders of four are missing"
    found, told = explore(project, "resized")
    assert found["auc"] > 0.95
    assert "resize --align" in told and "Warning" in told
    assert run("--paths", project, "resize", "--align").returncode == 1
    left = {feature["name"] for feature in audit(project, "resized")["features"]}
    assert left <= {"bytes_per_pixel"}, "only the content's own detail is left to tell"
    copies = [p for p in (project.parent / "dataset/resized_train").rglob("*.*") if p.name[0] != "."]
    assert len(copies) == 80
    for path in copies:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (224, 224))
            tables = image.quantization
        with Image.open(copies[0]) as image:
            assert image.quantization == tables


def test_alike_classes_are_near_chance(project: Path, undrawn: None) -> None:
    fill(project, ".jpg", ".jpg", 60)
    result = audit(project, "original")
    assert result["auc_low"] < 0.6 and result["count"] == 120


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("odd_one", [".png", ".jpg"])
def test_columns_without_values_are_left_out(
    project: Path, undrawn: None, ending: str, odd_one: str
) -> None:
    """One format has no JPEG quality, one size has one width, and a fold may lack the odd picture."""
    folder = fill(project, ending, ending, count=25)
    (folder / "fake" / f"0000{ending}").unlink()
    paint(folder / "fake" / f"odd{odd_one}", 0)
    found = audit(project, "original")
    assert found["count"] == 50 and found["auc_low"] <= found["auc"] <= found["auc_high"]


def test_plain_and_aligned_copies_replace_each_other_and_keep_twins_apart(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    for name in ("a.png", "a.jpg", "b.webp", "c.jpg"):
        paint(folder / name, 4)
    target = project.parent / "dataset/resized_train/real"

    def names() -> set[str]:
        return {path.name for path in target.iterdir() if path.name != ".aligned"}

    assert run("--paths", project, "resize", "train-real").returncode == 0
    assert names() == {"a.png", "a.jpg", "b.webp", "c.jpg"}
    plain = (target / "c.jpg").read_bytes()
    assert run("--paths", project, "resize", "train-real", "--align").returncode == 0
    assert names() == {"a.png.jpg", "a.jpg.jpg", "b.jpg", "c.jpg"}
    assert (target / "c.jpg").read_bytes() != plain
    again = run("--paths", project, "resize", "train-real", "--align")
    assert "0 pictures resized" in again.stdout and "4 already done" in again.stdout
    assert run("--paths", project, "resize", "train-real").returncode == 0
    assert names() == {"a.png", "a.jpg", "b.webp", "c.jpg"}
    assert (target / "c.jpg").read_bytes() == plain


def test_tables_and_figures_are_written_and_bad_files_listed(project: Path) -> None:
    folder = fill(project, ".jpg", ".png", 4, real_size=(200, 100))
    shutil.move(folder / "fake", folder / "gan")
    (folder / "fake").mkdir()
    shutil.move(folder / "gan", folder / "fake/gan")
    paint(folder / "fake/other/x.jpg", 77)
    (folder / "real/bad.jpg").write_bytes(b"no picture")
    result = run("--paths", project, "explore")
    assert result.returncode == 1 and "bad.jpg: not a picture" in result.stdout
    out = project.parent / "explore/original"
    pictures = rows(out / "pictures.csv")
    assert len(pictures) == 10
    real = next(row for row in pictures if row["path"].endswith("0000.png"))
    assert (real["width"], real["height"], real["format"]) == ("200", "100", "PNG")
    assert float(real["aspect_ratio"]) == 2 and real["jpeg_quality"] == ""
    fake = next(row for row in pictures if row["source"] == "gan")
    assert fake["jpeg_quality"] == "75" and fake["jpeg_subsampling"] == "4:2:0"
    assert [r["reason"] for r in pictures if "bad.jpg" in r["path"]] == ["not a picture (no known format)"]
    summary = {(row["label"], row["source"]): row for row in rows(out / "summary.csv")}
    assert summary["fake", "gan"]["count"] == "4" and summary["real", ""]["width_mean"] == "200.0"
    for name in ("counts", "histograms", "histograms_sources", "samples_train-real", "samples_train-fake"):
        with Image.open(out / f"{name}.png") as figure:
            assert min(figure.size) > 150


def test_planted_duplicates_are_found_and_unrelated_pictures_are_not_paired(
    project: Path, undrawn: None
) -> None:
    folder = fill(project, ".jpg", ".jpg", 40)
    test = project.parent / "dataset/test/real"
    test.mkdir(parents=True)
    first = Image.open(folder / "real/0001.jpg")
    shutil.copy(folder / "real/0000.jpg", test / "same.jpg")
    first.save(test / "again.jpg", quality=40)
    Image.open(folder / "real/0002.jpg").resize((150, 130)).save(test / "small.png")
    Image.fromarray(np.asarray(Image.open(folder / "real/0003.jpg"))[:, ::-1]).save(test / "mirrored.png")
    shutil.copy(folder / "fake/0005.jpg", folder / "real/both.jpg")
    assert run("--paths", project, "explore").returncode == 0
    out = project.parent / "explore/original"
    found = {
        (row["kind"], Path(row["path_a"]).name, Path(row["path_b"]).name, row["where"])
        for row in rows(out / "duplicates.csv")
    }
    assert found == {
        ("exact", "0000.jpg", "same.jpg", "train and test"),
        ("near", "0001.jpg", "again.jpg", "train and test"),
        ("near", "0002.jpg", "small.png", "train and test"),
        ("near", "0003.jpg", "mirrored.png", "train and test"),
        ("exact", "both.jpg", "0005.jpg", "both classes"),
    }
    assert (out / "duplicates.png").is_file()


def frames(count: int, seed: int, noise: float, brighter: int = 0) -> list[Fingerprint]:
    """Fingerprints of pictures of one scene."""
    random = np.random.default_rng(seed)
    scene, signs = random.normal(110, 30, (32, 32)), random.normal(size=256)
    found = []
    for _ in range(count):
        bits = np.packbits(signs + random.normal(0, noise, 256) > 0).view(np.uint64)
        grey = (scene + brighter + random.normal(0, 2, (32, 32))).clip(0, 255).astype(np.uint8)
        found.append(Fingerprint(bits, np.roll(bits, 1) ^ np.uint64(0x55AA55AA55AA55AA), grey))
    return found


def test_look_alikes_are_groups_and_not_all_their_pairs() -> None:
    scenes = [*frames(40, 1, 0.1), *frames(30, 2, 0.1), *frames(20, 1, 0.1, brighter=40)]
    numbered = list(enumerate(scenes))
    advanced: list[int] = []
    pairs = find_near_duplicates(numbered, advanced.append)
    assert sum(advanced) == 90
    # The third scene has the shapes of the first at another brightness.
    assert len(pairs) == 39 + 29 + 19
    firsts = {(pair.first, pair.second) for pair in pairs}
    assert {second for first, second in firsts if first == 0} == set(range(1, 40))
    assert {second for first, second in firsts if first == 70} == set(range(71, 90))
    assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in pairs)


def test_a_picture_between_two_groups_joins_them() -> None:
    left = frames(1, 3, 0.0)[0]
    flipped = np.unpackbits(left.bits.view(np.uint8))
    chain = []
    for changed in (0, 60, 30):
        bits = flipped.copy()
        bits[:changed] ^= 1
        chain.append(Fingerprint(np.packbits(bits).view(np.uint64), left.mirrored, left.thumbnail))
    pairs = find_near_duplicates(list(enumerate(chain)))
    assert {(pair.first, pair.second, pair.distance) for pair in pairs} == {(0, 2, 30), (1, 2, 30)}


def test_four_times_the_look_alikes_take_no_more_pairs_than_pictures() -> None:
    """2,000 frames of one scene have 1,999,000 pairs, which were compared one by one for minutes."""
    started = time.monotonic()
    assert len(find_near_duplicates(list(enumerate(frames(2000, 1, 0.1))))) == 1999
    assert time.monotonic() - started < 20


def test_what_is_found_before_a_stop_is_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(project, ".jpg", ".jpg", 4)
    leave_figures_out(monkeypatch)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fakedetect.preprocessing.duplicates.find_near_duplicates", stop)
    assert run("--paths", project, "explore").returncode == 130
    written = {path.name for path in (project.parent / "explore/original").iterdir()}
    assert {"pictures.csv", "summary.csv", "audit.json"} <= written


def test_an_exploration_is_a_result_of_its_own_and_writes_nothing(project: Path) -> None:
    folder = fill(project, ".jpg", ".png", 2)
    shutil.copy(folder / "fake/0001.jpg", folder / "real/both.jpg")
    (folder / "real/bad.jpg").write_bytes(b"no picture")
    found = explore_dataset(load_settings(project), Console(quiet=True))
    assert (len(found.pictures), len(found.readable), found.listed_bad) == (6, 5, 0)
    assert list(found.unreadable["path"]) == [folder / "real/bad.jpg"]
    assert dict(zip(found.summary["label"], found.summary["count"], strict=True)) == {"fake": 2, "real": 3}
    assert (found.audit.on, found.audit.auc) == ("original", None)
    duplicates = find_duplicates(load_settings(project), Console(quiet=True), found.readable)
    assert list(duplicates["where"]) == ["both classes"]
    assert not (project.parent / "explore").exists()


def test_without_pictures_one_line_says_what_to_do(project: Path) -> None:
    for on, hint in (("original", "demo"), ("resized", "no resized pictures yet")):
        result = run("--paths", project, "explore", "--on", on)
        assert result.returncode == 2 and hint in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_the_jpeg_quality_is_estimated(tmp_path: Path, quality: int) -> None:
    from fakedetect.preprocessing.headers import Header, read_header

    path = tmp_path / "x.jpg"
    Image.new("RGB", (64, 64)).save(path, quality=quality)
    facts = read_header(path)
    assert isinstance(facts, Header) and facts.jpeg_quality == quality


@pytest.mark.parametrize(("fakes", "reals"), [(3000, 40), (40, 3000)])
def test_the_audit_of_a_large_set_looks_at_a_rare_class_too(
    monkeypatch: pytest.MonkeyPatch, fakes: int, reals: int
) -> None:
    monkeypatch.setattr("fakedetect.preprocessing.audit.MOST_AUDITED_PICTURES", 200)
    fake = np.arange(fakes + reals) < fakes
    columns = {name: np.ones(len(fake)) for name in (*NUMBER_PHRASES, *FLAG_PHRASES)} | dict.fromkeys(
        CATEGORY_PHRASES, "x"
    )
    frame = pd.DataFrame(
        {**columns, "label": np.where(fake, "fake", "real"), "width": np.where(fake, 3, 2)}
    )
    found = audit_shortcuts(frame, "original")
    assert (found.count, found.auc) == (200, 1.0)
    assert [feature.name for feature in found.features] == ["width"]
