"""Option 2 through the command and its files."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run
from PIL import Image

from fakedetect.core.files import file_lock
from fakedetect.core.settings.settings import load_settings
from fakedetect.dataset.samples import find_originals, load_dataset
from fakedetect.images.listing import list_images


def copy_of(project: Path, name: str) -> Image.Image:
    return Image.open(project.parent / "dataset/resized_train/real" / name)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.jpg", "RGB"), ("b.png", "RGB"), ("c.jpg", "L"), ("d.jpg", "CMYK"), ("e.png", "P")],
)
def test_copies_are_the_references_to_the_byte(project: Path, name: str, mode: str) -> None:
    path = paint(project.parent / "dataset/train/real/sub" / name, 5, mode=mode)
    assert run("--paths", project, "resize", "train-real").returncode == 0
    image = Image.open(path)
    if image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    expected = project.parent / name
    image.resize((224, 224), Image.Resampling.LANCZOS).save(expected)
    made = project.parent / "dataset/resized_train/real/sub" / name
    assert made.read_bytes() == expected.read_bytes()


def test_orientation_transparency_and_depth_come_out_as_seen(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    half = Image.new("RGB", (400, 300), "black")
    half.paste("white", (0, 0, 200, 300))
    half.save(folder / "turned.png", exif=exif)
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(folder / "clear.png")
    Image.fromarray(np.full((50, 50), 32896, np.uint16)).save(folder / "deep.png")
    assert run("--paths", project, "resize", "train-real").returncode == 0
    turned = np.asarray(copy_of(project, "turned.png"))
    assert turned[20].min() > 250 and turned[200].max() < 5
    assert np.asarray(copy_of(project, "clear.png")).min() == 255
    assert np.asarray(copy_of(project, "deep.png").convert("L")).mean() == pytest.approx(128, abs=1)


def test_a_second_run_redoes_only_what_changed_and_leaves_bad_ones_out(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    for number in range(3):
        paint(folder / f"{number}.jpg", number)
    (folder / "bad.jpg").write_bytes(b"x")
    first = run("--paths", project, "resize", "train-real")
    assert "3 pictures resized" in first.stdout and "1 bad picture skipped" in first.stdout
    paint(folder / "1.jpg", 9)
    second = run("--paths", project, "resize", "train-real")
    assert "1 picture resized" in second.stdout and "2 already done" in second.stdout


def exchange(first: Path, second: Path) -> None:
    """Let two files take each other's place, with one size and one time, as an archive would have them."""
    size = max(path.stat().st_size for path in (first, second))
    contents = [path.read_bytes().ljust(size, b"\0") for path in (first, second)]
    for path, content in zip((second, first), contents, strict=True):
        path.write_bytes(content)
        os.utime(path, (1, 1))


def test_exchanged_pictures_of_one_time_and_size_are_resized_again(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    first, second, third = (paint(folder / f"{number}.jpg", number) for number in range(3))
    exchange(first, second)
    os.utime(third, (1, 1))
    resize = ("--paths", project, "resize", "train-real")
    assert "3 pictures resized" in run(*resize).stdout
    copies = project.parent / "dataset/resized_train/real"
    before = {path.name: path.read_bytes() for path in copies.glob("*.jpg")}
    exchange(first, second)
    again = run(*resize).stdout
    assert "2 pictures resized" in again and "2 of them again" in again and "1 already done" in again
    after = {path.name: path.read_bytes() for path in copies.glob("*.jpg")}
    assert after == {"0.jpg": before["1.jpg"], "1.jpg": before["0.jpg"], "2.jpg": before["2.jpg"]}
    first.rename(folder / "old")
    (folder / "old").replace(second)
    assert "1 picture resized" in run(*resize).stdout
    assert (copies / "1.jpg").read_bytes() == after["0.jpg"]


TWINS = ["shot.jpg", "shot.png", "shot.jpg.png", "shot.jpg.jpg.png", "image.jpg.webp", "a.png", "A.PNG"]


@pytest.mark.parametrize("names", [TWINS, TWINS[::-1], TWINS[2:], ["image.jpg", "image.jpg.webp"]])
def test_every_original_has_a_copy_of_its_own_and_is_found_again(project: Path, names: list[str]) -> None:
    folder, target = (project.parent / "dataset" / name for name in ("test/real", "resized_test/real"))
    for number, name in enumerate(names):
        paint(folder / "sub" / name, number)
    paint(project.parent / "dataset/test/fake/x.jpg", 99)
    settings = load_settings(project)
    for align in ([], ["--align"]):
        resize = ("--paths", project, "resize", *align, "test-real", "test-fake")
        assert f"{len(names)} pictures resized" in run(*resize).stdout
        copies = list_images(target)
        assert len({str(path).casefold() for path in copies}) == len(copies) == len(names)
        traced = find_originals(settings, "test", copies)
        assert set(traced) == {folder / "sub" / name for name in names}
        for copy, original in zip(copies, traced, strict=True):
            small = Image.open(original).convert("RGB").resize((224, 224), Image.Resampling.LANCZOS)
            apart = np.asarray(Image.open(copy), np.int16) - np.asarray(small, np.int16)
            assert np.abs(apart).mean() < 4
        assert f"{len(names)} already done" in run(*resize).stdout
    # A copy whose original is gone is no other picture's.
    gone = traced[0]
    gone.unlink()
    assert gone not in find_originals(settings, "test", copies)
    run("--paths", project, "resize", "test-real", "test-fake")
    (folder / "sub/other.png").write_bytes((project.parent / "dataset/test/fake/x.jpg").read_bytes())
    lost = paint(target / "sub/other.webp", 5)
    assert find_originals(settings, "test", [lost]) == [lost]


def test_a_listed_bad_original_keeps_its_aligned_copy_out(project: Path) -> None:
    for label in ("fake", "real"):
        for number in range(3):
            paint(project.parent / f"dataset/test/{label}/{number}.png", number)
    run("--paths", project, "resize", "--align", "test-real", "test-fake")
    bad = project.parent / "dataset/test/real/1.png"
    (project.parent / "list_of_bad_images.txt").write_text(f"{bad}\n", encoding="utf-8")
    found = load_dataset(load_settings(project), "test")
    assert found.left_out == 1 and len(found.samples) == 5


def test_two_runs_at_once_do_not_mix_and_leftovers_of_a_killed_one_go(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(project.parent / "dataset/train/real/sub/a.png", 1)
    target = project.parent / "dataset/resized_train/real"
    left = target / "sub" / f".{'0' * 32}.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    resize = ("--paths", project, "resize", "train-real")
    with file_lock(target.with_name(".real.lock"), "it"):
        second = run(*resize, "--align")
        assert second.returncode == 2 and "in use by another run" in second.stderr
        assert left.is_file() and not (target / ".aligned").exists()
    assert run(*resize).returncode == 0 and not left.exists()
    assert [path.name for path in target.parent.iterdir()] == ["real"]


def test_copies_without_an_original_are_reported_and_deleted_on_request(project: Path) -> None:
    fake, real = (project.parent / f"dataset/train/{name}" for name in ("fake", "real"))
    for number, folder in enumerate((fake, fake, fake, real)):
        paint(folder / f"{number}.jpg", number)
    both = ("--paths", project, "resize", "train-fake", "train-real")
    assert "no original" not in run(*both).stdout
    # A wrong label that is put right, and a picture that turns out to be bad.
    (fake / "0.jpg").rename(real / "0.jpg")
    (fake / "1.jpg").write_bytes(b"x")
    told = run(*both)
    assert "1 copy has no original" in told.stdout and "--prune train-fake" in told.stdout
    copies = project.parent / "dataset/resized_train"
    assert (copies / "fake/0.jpg").is_file() and told.returncode == 0
    assert "1 copy without an original deleted" in run(*both, "--prune").stdout
    assert sorted(path.name for path in copies.rglob("*.jpg")) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert sorted(path.name for path in (copies / "fake").iterdir()) == ["1.jpg", "2.jpg"]


def test_copies_whose_originals_are_all_gone_are_kept(project: Path) -> None:
    original = paint(project.parent / "dataset/train/fake/a.jpg", 1)
    fake = ("--paths", project, "resize", "train-fake", "--prune")
    run(*fake)
    original.unlink()
    assert "no original" not in run(*fake).stdout
    assert (project.parent / "dataset/resized_train/fake/a.jpg").is_file()


def test_of_two_copies_of_one_picture_the_older_is_stale(project: Path) -> None:
    folder = project.parent / "dataset/train/fake"
    paint(folder / "a.jpg", 1)
    other = paint(folder / "a.png", 2)
    align = ("--paths", project, "resize", "train-fake", "--align")
    run(*align)
    other.unlink()
    assert "2 copies have no original" in run(*align).stdout
    run(*align, "--prune")
    copies = project.parent / "dataset/resized_train/fake"
    assert [path.name for path in copies.glob("*.jpg")] == ["a.jpg"]


def test_fast_copies_are_nearly_the_plain_ones_and_replace_them(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    paint(folder / "large.jpg", 1, (2000, 1500))
    paint(folder / "small.png", 2, (300, 200))
    made = project.parent / "dataset/resized_train/real/large.jpg"

    def resize(*arguments: str) -> np.ndarray:
        result = run("--paths", project, "resize", "train-real", *arguments)
        assert "2 pictures resized" in result.stdout, result.stdout + result.stderr
        with Image.open(made) as image:
            assert image.size == (224, 224)
            return np.asarray(image, np.int16)

    plain = resize()
    fast = resize("--fast")
    assert 0 < np.abs(plain - fast).mean() < 3
    assert np.array_equal(resize(), plain)
    assert "2 already done" in run("--paths", project, "resize", "train-real").stdout


def test_shards_resize_disjoint_shares(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    for number in range(7):
        paint(folder / f"{number}.png", number)
    target = project.parent / "dataset/resized_train/real"
    for number, count in ((1, 3), (2, 2), (3, 2)):
        arguments = ("resize", "train-real", "--align", "--shard", f"{number}/3")
        result = run("--paths", project, *arguments)
        assert f"{count} pictures resized" in result.stdout, result.stderr
    assert len(list(target.glob("*.jpg"))) == 7
    refused = run("--paths", project, "resize", "train-real", "--shard", "1/3")
    assert refused.returncode == 2 and "another kind" in refused.stderr
    assert len(list(target.glob("*.jpg"))) == 7


def test_a_dry_run_changes_nothing_and_says_what_the_next_run_does(data: Path) -> None:
    folder = data.parent
    copies = folder / "dataset/resized_train/real"

    def files() -> dict[Path, int]:
        found = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
        return {path: path.stat().st_mtime_ns for path in found}

    def plan_and_do(*options: str) -> tuple[str, str]:
        before = files()
        planned = run("--paths", data, "resize", "train-real", "--dry-run", *options)
        assert planned.returncode == 0 and files() == before
        done = run("--paths", data, "resize", "train-real", *options)
        return planned.stdout.replace("to be ", ""), done.stdout

    planned, done = plan_and_do()
    assert planned == done and "20 pictures resized" in done
    (folder / "dataset/train/real/0003.png").unlink()
    paint(folder / "dataset/train/real/new.png", 5)
    planned, done = plan_and_do("--prune")
    assert planned == done and "1 picture resized" in done and "1 copy without an original deleted" in done
    assert len(list(copies.iterdir())) == 20
    # Copies of another kind take the place of those that are there.
    planned, done = plan_and_do("--align")
    assert planned == done and "20 pictures resized" in done
    planned, done = plan_and_do("--align")
    assert planned == done and "0 pictures resized" in done and "20 already done" in done
