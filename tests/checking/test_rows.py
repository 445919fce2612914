"""Rows of a check: their order, their keys, files of earlier versions, files that have several names."""

import csv
import json
import shutil
import time
from pathlib import Path

import pytest
from conftest import paint, run
from PIL import Image, PngImagePlugin

from fakedetect.checking.judged import Judged, Judges
from fakedetect.checking.results_csv import ResultsCsv

BOM = b"\xef\xbb\xbf"


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


def shown(text: str) -> list[str]:
    """The names of the pictures that have a line, in the lines' order."""
    lines = [line for line in text.splitlines() if line.startswith(("fake", "real", "unsure", "-"))]
    return [Path(line.split("  [")[0].split("  ")[-1]).name for line in lines]


def plant(path: Path, source: Path) -> Path:
    """A picture with the pixels of another one, whose metadata say that ComfyUI made it."""
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", '{"3": {"class_type": "KSampler"}}')
    with Image.open(source) as opened:
        opened.save(path, pnginfo=info)
    return path


@pytest.fixture
def folder(trained: Path) -> Path:
    """Eight pictures of which the first takes longest, and an empty file."""
    for number in range(8):
        size = (3000, 2600) if number == 0 else (300, 260)
        paint(trained.parent / "mine" / f"{number}.png", number, size=size)
    (trained.parent / "mine/empty.jpg").write_bytes(b"")
    return trained.parent / "mine"


def test_rows_come_in_the_order_of_the_pictures_whoever_was_quickest(
    trained: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakedetect.checking.checker import Checker

    whole = Checker.check

    def reverse(checker: Checker, paths: object, workers: int) -> object:
        yield from reversed(list(whole(checker, paths, workers)))

    monkeypatch.setattr(Checker, "check", reverse)
    out = trained.parent / "out.csv"
    names = [*(f"{number}.png" for number in range(8)), "empty.jpg"]
    check = ("--paths", trained, "check", folder, "--no-stability")
    assert shown(run(*check, "--csv", out).stdout) == names
    assert [Path(row["path"]).name for row in read_rows(out)] == names
    assert out.read_bytes().startswith(BOM) and out.read_bytes().count(BOM) == 1
    told = [json.loads(line) for line in run(*check, "--json").stdout.splitlines()]
    assert [Path(row["path"]).name for row in told] == names
    # A new picture stands in its place; those that are gone are behind all others.
    paint(folder / "3b.png", 70)
    (folder / "1.png").unlink()
    run(*check, "--csv", out)
    found = [Path(row["path"]).name for row in read_rows(out)]
    assert found == [*names[:1], *names[2:4], "3b.png", *names[4:], "1.png"]
    assert out.read_bytes().count(BOM) == 1


def test_all_rows_of_json_have_the_same_keys(trained: Path, folder: Path, data: Path) -> None:
    picture = folder / "1.png"
    command = ("check", picture, folder / "empty.jpg", "--json")
    judged = [json.loads(line) for line in run("--paths", trained, *command).stdout.splitlines()]
    assert judged[0].keys() == judged[1].keys()
    unreadable = judged[1]
    assert unreadable["reason"] == "empty file" and unreadable["model"] == "tiny"
    for key in ("verdict", "model_verdict", "p_fake", "p_fake_raw", "width", "sha256", "provenance"):
        assert unreadable[key] is None, key
    assert (judged[0]["width"], judged[0]["height"], judged[0]["provenance"]) == (300, 260, "")
    values = judged[0]["thresholds"]["tiny"].values()
    assert len(values) == 3 and all(isinstance(value, float) for value in values)
    (data.parent / "mine").mkdir()
    shutil.copy(picture, data.parent / "mine")
    (line,) = run("--paths", data, "check", data.parent / "mine", "--json").stdout.splitlines()
    without = json.loads(line)
    assert without.keys() == judged[0].keys()
    assert without["thresholds"] is None and without["model"] is None and without["width"] == 300


def test_a_csv_of_an_earlier_version_is_rechecked_and_its_other_rows_are_converted(
    trained: Path, folder: Path
) -> None:
    out = trained.parent / "out.csv"
    check = ("--paths", trained, "check", folder, "--csv", out, "--no-stability")
    run(*check)
    first = {row["path"]: row for row in read_rows(out)}
    columns = (
        "path", "verdict", "p_fake", "p_fake_calibrated", "stability", "sha256", "size", "format",
        "provenance", "reason", "bytes", "modified", "model", "checkpoint", "options", "notes",
    )  # fmt: skip
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for row in first.values():
            size = f"{row['width']}x{row['height']}" if row["width"] else ""
            old = {"p_fake": row["p_fake_raw"], "p_fake_calibrated": row["p_fake"], "size": size}
            writer.writerow({**row, **old, "notes": "mine"})
    (folder / "7.png").unlink()
    result = run(*check)
    assert ": 8 in a file of an earlier" in result.stdout
    assert len(shown(result.stdout)) == 8 and "Skipped" not in result.stdout
    second = {row["path"]: row for row in read_rows(out)}
    assert "p_fake_calibrated" not in next(iter(second.values()))
    gone = second.pop(str(folder / "7.png"))
    kept = first.pop(str(folder / "7.png"))
    # Its origin has not been weighed, so that it is no verdict of this version.
    assert gone == {**kept, "model_verdict": "", "notes": "mine"}
    assert {path: {**row, "notes": ""} for path, row in first.items()} == second
    assert "Skipped 8 unchanged pictures" in run(*check).stdout
    # What comes back is judged, though its row has this model's name.
    paint(folder / "7.png", 7)
    assert shown(run(*check).stdout) == ["7.png"]


def test_what_the_metadata_say_is_weighed_and_the_models_verdict_kept(trained: Path) -> None:
    real = sorted((trained.parent / "dataset/test/real").rglob("*.jpg"))[0]
    fake = sorted((trained.parent / "dataset/test/fake").rglob("*.jpg"))[0]
    folder, out, page = (trained.parent / name for name in ("own", "own.csv", "own.html"))
    folder.mkdir()
    for name, source in (("real.png", real), ("fake.png", fake)):
        plant(folder / name, source)
        with Image.open(source) as opened:
            opened.save(folder / f"plain_{name}")
    check = ("--paths", trained, "check", folder, "--no-stability")
    result = run(*check, "--csv", out, "--html", page)
    rows = {Path(row["path"]).name: row for row in read_rows(out)}
    found = {name: (row["verdict"], row["model_verdict"]) for name, row in rows.items()}
    assert found == {
        "plain_real.png": ("real", "real"), "real.png": ("unsure", "real"),
        "plain_fake.png": ("fake", "fake"), "fake.png": ("fake", "fake"),
    }  # fmt: skip
    assert rows["real.png"]["p_fake"] == rows["plain_real.png"]["p_fake"]
    (line,) = [line for line in result.stdout.splitlines() if "/real.png" in line]
    assert "ComfyUI), the model says real" in line
    assert result.stdout.splitlines()[-1].startswith("4 pictures: 2 fake, 1 real, 1 unsure")
    cards = page.read_text(encoding="utf-8").split('<li class="card"')[1:]
    (card,) = [card for card in cards if "./own/real.png" in card]
    assert 'data-verdict="unsure"' in card and "the model says real" in card
    again = run(*check, "--csv", out)
    assert again.stdout.splitlines()[-1] == "4 pictures: 2 fake, 1 real, 1 unsure"


@pytest.mark.parametrize("kind", ["real", "fake", "planted"])
def test_one_picture_has_six_lines_of_which_the_verdict_is_the_last(trained: Path, kind: str) -> None:
    source = trained.parent / "dataset/test" / ("fake" if kind == "fake" else "real")
    picture = Path("p.png")
    plant(trained.parent / picture, sorted(source.rglob("*.jpg"))[0])
    if kind != "planted":
        with Image.open(trained.parent / picture) as opened:
            opened.save(trained.parent / picture)
    result = run("--paths", trained, "check", trained.parent / picture, "--no-stability")
    # As in its own folder: names of folders here are long.
    lines = [line.replace(f"{trained.parent}/", "") for line in result.stdout.splitlines()]
    assert len(lines) + len(result.stderr.splitlines()) <= 6 and all(len(line) <= 80 for line in lines[1:])
    assert lines[-1].startswith("unsure" if kind == "planted" else kind) and lines[-1].endswith("  p.png")
    assert any("reading-a-verdict.md" in line for line in lines)
    assert any(line.startswith("Of 100 '") for line in lines) == (kind != "planted")
    (trained.parent / "empty.jpg").write_bytes(b"")
    unreadable = run("--paths", trained, "check", trained.parent / "empty.jpg").stdout.splitlines()
    assert len(unreadable) == 1 and unreadable[0].endswith("empty.jpg  [empty file]")
    details = run("--paths", trained, "check", trained.parent / picture, "--details").stdout
    assert "Keep in mind: " in details and "95 % interval" in details


def test_a_file_with_two_names_is_judged_once_and_named_twice(
    trained: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakedetect.models.detector import Detector

    asked: list[int] = []
    margins = Detector.margins
    monkeypatch.setattr(
        Detector, "margins", lambda self, images: asked.append(len(images)) or margins(self, images)
    )
    (folder.parent / "linked").symlink_to(folder)
    (folder / "again.png").symlink_to(folder / "5.png")
    out, page = folder.parent / "out.csv", folder.parent / "page.html"
    check = ("--paths", trained, "check", folder, folder.parent / "linked", folder / "3.png")
    result = run(*check, "--no-stability", "--csv", out, "--html", page)
    assert sum(asked) == 8
    rows = read_rows(out)
    assert len(rows) == len({row["path"] for row in rows}) == 20 == len(shown(result.stdout))
    assert "20 pictures: " not in result.stdout and "18 pictures: " in result.stdout
    assert "; 2 cannot be read" in result.stdout and "; 11 under a second" in result.stdout
    by_name: dict[str, set[str]] = {}
    for row in rows:
        by_name.setdefault(Path(row["path"]).name, set()).add(row["p_fake"])
    assert all(len(values) == 1 for values in by_name.values()) and by_name["again.png"] == by_name["5.png"]
    assert page.read_text(encoding="utf-8").count('<li class="card"') == 20
    again = run(*check, "--no-stability", "--csv", out)
    assert "Skipped 20 unchanged pictures" in again.stdout and sum(asked) == 8
    # A copy is another file, and so is a hard link.
    (folder / "hard.png").hardlink_to(folder / "2.png")
    run("--paths", trained, "check", folder / "2.png", folder / "hard.png", "--no-stability")
    assert sum(asked) == 10


def test_many_rows_are_ordered_without_keeping_them_in_memory(tmp_path: Path) -> None:
    results = ResultsCsv(tmp_path / "a.csv", Judges("tiny", "0123", ""))
    paths = [Path(f"{number:05}.png") for number in range(3000)]
    for path in paths:
        results.add_to_order(path)
    for path in reversed(paths):
        results.add(Judged(path=path, verdict="real", model_verdict="real", provenance=("a\nb, \"c\"",),
                           judges=results.judges))  # fmt: skip
    from fakedetect.checking.judged import CheckCounts

    start = time.monotonic()
    results.finish(CheckCounts(total=len(paths)))
    results.close()
    assert time.monotonic() - start < 10
    rows = read_rows(tmp_path / "a.csv")
    assert [row["path"] for row in rows] == list(map(str, paths))
    assert {row["provenance"] for row in rows} == {'a\nb, "c"'}
