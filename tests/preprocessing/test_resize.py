"""Option 2 through the command and its files."""

from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run
from PIL import Image


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


def test_copies_without_an_original_are_told_and_deleted_on_request(project: Path) -> None:
    fake, real = (project.parent / f"dataset/train/{name}" for name in ("fake", "real"))
    for number, folder in enumerate((fake, fake, fake, real)):
        paint(folder / f"{number}.jpg", number)
    both = ("--paths", project, "resize", "train-fake", "train-real")
    assert "no original" not in run(*both).stdout
    # A wrong label that is put right, and a picture that turns out to be bad.
    (fake / "0.jpg").rename(real / "0.jpg")
    (fake / "1.jpg").write_bytes(b"x")
    told = run(*both)
    assert "1 copy has no original any more" in told.stdout and "--prune train-fake" in told.stdout
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
