"""Options 3.5, 3.6 and 3.7, through the commands and the files they write."""

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run
from PIL import Image

from fakedetect.images.degradations import degrade_at_random, make_random
from fakedetect.metrics.measures import MEASURE_NAMES

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def test_thresholds_stand_in_training_json_and_keep_their_promise_on_the_validation_pictures(
    trained_once: Path,
) -> None:
    saved = read(trained_once.parent / "model_folders/tiny/training.json")["calibration"]
    assert saved["temperature"] > 0 and saved["real_below"] <= 0.5 <= saved["fake_from"]
    validation = saved["validation"]
    assert validation["fake"] + validation["real"] == 24
    assert validation["real_called_fake"] <= 0.2 and validation["fake_called_real"] <= 0.2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-false-alarms", "0.01"], "too few to guarantee 1.0 %"),
        (["--max-missed", "0"], "--max-missed must be above 0"),
    ],
)
def test_promises_that_cannot_be_kept_are_refused(trained: Path, arguments: list[str], said: str) -> None:
    result = run("--paths", trained, "fit-thresholds", *arguments)
    assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr


def test_thresholds_need_the_pictures_of_the_training_run(trained: Path) -> None:
    paint(trained.parent / "dataset/resized_train/fake/gan/new.jpg", 7, (224, 224))
    result = run("--paths", trained, "fit-thresholds")
    assert result.returncode == 2 and "changed since tiny" in result.stderr


def test_evaluation_report_foreign_pictures_and_a_source_left_out(evaluated: Path) -> None:
    folder = evaluated.parent / "model_folders/tiny"
    assert "evaluate --data FOLDER" in (evaluated.parent / "told.txt").read_text(encoding="utf-8")
    test = read(folder / "evaluation.json")["test"]
    assert set(test["measures"]) == set(MEASURE_NAMES) and test["count"] == 20
    # With ten real pictures, a single false alarm is 10 %.
    without = {name for name, measure in test["measures"].items() if measure["value"] is None}
    assert without == {"tpr_at_5", "tpr_at_1"}
    for measure in (found for name, found in test["measures"].items() if name not in without):
        assert measure["low"] <= measure["high"]
    with (folder / "test_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    assert test["measures"]["accuracy"]["value"] == pytest.approx(right)
    sources = {(e["class"], e["source"]): e["count"] for e in test["sources"]}
    assert sources == {
        ("fake", "gan"): 5,
        ("fake", "diffusion"): 5,
        ("real", "phone"): 5,
        ("real", "camera"): 5,
    }
    robustness = test["robustness"]
    assert robustness["count"] == robustness["of_originals"] == 20
    assert {p["kind"] for p in robustness["points"]} == {
        "jpeg", "webp", "scale", "blur", "noise", "crop", "screenshot",
    }  # fmt: skip
    assert robustness["worst_auc"] == min(p["roc_auc"] for p in robustness["points"])
    assert 0 <= test["verdicts"]["unsure"] <= 1
    for name in ("robustness", "reliability"):
        with Image.open(folder / f"{name}.png") as figure:
            assert min(figure.size) > 300

    # Other pictures: both classes are noise, so no model can generalise.
    foreign = evaluated.parent / "foreign"
    random = np.random.default_rng(5)
    for number in range(12):
        for name in ("ai", "nature"):
            (foreign / name).mkdir(parents=True, exist_ok=True)
            noise = random.integers(0, 256, (300, 200, 3), dtype=np.uint8)
            Image.fromarray(noise).save(foreign / name / f"{number}.png")
    (foreign / "ai" / "broken.jpg").write_bytes(b"x")
    result = run("--paths", evaluated, "evaluate", "--data", foreign)
    assert result.returncode == 1, result.stderr
    assert "does not generalise" in result.stdout and "broken.jpg" in result.stdout
    entry = read(folder / "evaluation.json")["foreign"]["foreign"]
    assert entry["count"] == 24 and entry["measures"]["roc_auc"]["value"] < 0.8

    result = run("--paths", evaluated, "train", "--leave-out", "gan")
    assert result.returncode == 0, result.stderr
    without = folder / "without_gan"
    assert read(without / "training.json")["data"]["count"] == 45
    assert (without / "classifier_model.pth").is_file()
    left = read(folder / "evaluation.json")["left_out"]["gan"]
    assert left["count"] == 5 and 0 <= left["right"]["value"] <= 1
    again = run("--paths", evaluated, "train", "--leave-out", "gan")
    assert "Trained without gan before" in again.stderr and "Epoch 1" not in again.stdout

    check_report(evaluated, folder)
    caution = run("--paths", evaluated, "check", foreign / "ai" / "0.png", "--details")
    assert "on the pictures of foreign" in caution.stdout


def test_folders_of_one_name_are_told_apart(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    counts = {"a/test": 2, "b/test": 3, "c/b/test": 4}
    for name, count in counts.items():
        for label in ("fake", "real"):
            source = trained.parent / "dataset/test" / label
            for file in sorted(source.rglob("*.jpg"))[:count]:
                place = trained.parent / "x" / name / label / file.name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
    # The first once more, under its name.
    for name in (*counts, "a/test"):
        result = run("--paths", trained, "evaluate", "--data", trained.parent / "x" / name)
        assert result.returncode == 0, result.stderr
    assert "tiny on test: 4 pictures" in result.stdout
    found = read(folder / "evaluation.json")["foreign"]
    assert {name: entry["count"] for name, entry in found.items()} == {
        "test": 4,
        "b/test": 6,
        "c/b/test": 8,
    }
    files = {re.sub("_[0-9a-f]{8}", "", path.name) for path in folder.glob("foreign_*")}
    assert files == {f"foreign_{name}_predictions.csv" for name in ("test", "b_test", "c_b_test")}
    assert run("--paths", trained, "report").returncode == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    said = run("--paths", trained, "check", trained.parent / "x/a/test", "--details").stdout
    for name in found:
        assert f"on the pictures of {name}, tiny had an accuracy" in said
        assert f">{name}: {found[name]['count']} pictures<" in page
    assert "To see its answers" not in page
    assert len(set(re.findall(r"evaluate --data (\S+)", page))) == 3


def test_the_roc_auc_of_pictures_of_one_shape_stands_beside_that_of_all(evaluated: Path) -> None:
    """The project's fakes are wide and its real pictures square."""
    folder = evaluated.parent / "model_folders/tiny"
    assert read(folder / "evaluation.json")["test"]["auc_same_shape"] == dict.fromkeys(
        ("value", "low", "high")
    )
    assert "No fake has the shape" in (evaluated.parent / "told.txt").read_text(encoding="utf-8")
    other, shapes = evaluated.parent / "other", {}
    sizes = [(90, 90), (120, 80), (80, 120), (90, 92)]
    random = np.random.default_rng(5)
    for number in range(12):
        for label, size in (("fake", sizes[number % 2]), ("real", sizes[number % 4])):
            file = other / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = random.integers(0, 256, (*reversed(size), 3), dtype=np.uint8)
            Image.fromarray(noise).save(file)
            shapes[f"{label}/{number}"] = max(size) / min(size) < 1.05 or size
    told = run("--paths", evaluated, "evaluate", "--data", other).stdout
    found = read(folder / "evaluation.json")["foreign"]["other"]["auc_same_shape"]
    with next(folder.glob("foreign_other*_predictions.csv")).open(newline="") as file:
        p_fake = {str(Path(row["path"]).relative_to(other).with_suffix("")): float(row["p_fake"])
                  for row in csv.DictReader(file)}  # fmt: skip
    pairs = [(fake, real) for fake in p_fake for real in p_fake
             if fake[0] == "f" and real[0] == "r" and shapes[fake] == shapes[real]]  # fmt: skip
    won = np.mean([(np.sign(p_fake[fake] - p_fake[real]) + 1) / 2 for fake, real in pairs])
    assert len(pairs) == 6 * 6 + 6 * 3 and found["value"] == pytest.approx(won)
    assert found["low"] < found["value"] < found["high"]
    line = f"ROC AUC, same shape only +{won:.3f} "
    assert re.search(line, told)
    assert run("--paths", evaluated, "report").returncode == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("ROC AUC, same shape only") == 3
    # A copy does not show its original's shape.
    shutil.rmtree(evaluated.parent / "dataset/test")
    assert "same shape" not in run("--paths", evaluated, "evaluate").stdout


class Links(HTMLParser):
    """Everything that a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attributes if name in ("src", "href")]


def check_report(trained: Path, folder: Path) -> None:
    result = run("--paths", trained, "report")
    assert result.returncode == 0, result.stderr
    text = (folder / "report.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert links.found and all(link.startswith(("data:", "#")) for link in links.found)
    assert "script" not in links.tags and "http" not in re.sub(r"data:[^\"]+", "", text)
    for title in (
        "Results on the test dataset", "Pictures from other sources", "Fake, real or unsure", "By source",
        "Robustness", "Wrong predictions", "Heat maps", "Dataset", "Recipe and learning curves",
        "Reproduce this report",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in text, title
    assert "could not be made" not in text
    # Confusion, ROC and p(fake) of the test pictures, of the same elsewhere and of the foreign ones, two of
    # reliability, seven of robustness, loss, accuracy; eight heat maps.
    assert links.tags.count("svg") == 20 and links.tags.count("img") >= 8
    assert "train --leave-out gan" in text and "prefers-color-scheme" in text
    if CHROMIUM:
        check_in_a_browser(folder / "report.html")


def check_in_a_browser(file: Path) -> None:
    """No console error, every picture loaded, no file's ending broken, and nothing wider than the page."""
    probe = file.with_name("probe.html")
    script = (
        "<script>addEventListener('load', () => { document.title = JSON.stringify({"
        "images: [...document.images].every(i => i.complete && i.naturalWidth > 1),"
        "broken: [...document.querySelectorAll('.whole')].filter("
        "e => e.getClientRects().length > 1).length,"
        "apart: [...document.querySelectorAll('.beside')].filter("
        "e => [...e.children].some(c => c.offsetTop != e.children[0].offsetTop)).length,"
        "stacked: [...document.querySelectorAll('h2')].filter(h => /elsewhere/.test(h.textContent))"
        ".flatMap(h => [...h.parentNode.querySelectorAll('.charts')])"
        ".filter(c => new Set([...c.children].map(e => e.offsetTop)).size > 1).length,"
        "wide: document.documentElement.scrollWidth - innerWidth}) })</script></body>"
    )
    probe.write_text(file.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    for width in (500, 1600):
        result = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={file.parent / 'browser'}", "--enable-logging=stderr",
             f"--window-size={width},2000", "--virtual-time-budget=3000", "--dump-dom", probe.as_uri()],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        found = json.loads(re.search(r"<title>(\{.*?\})</title>", result.stdout)[1].replace("&quot;", '"'))
        assert found["images"] and found["wide"] <= 0 and not found["broken"], (width, found)
        # Tables and charts stand side by side where there is room.
        assert (found["apart"] == 0) == (width == 1600), (width, found)
        assert width == 500 or not found["stacked"], found
        assert "CONSOLE" not in result.stderr, result.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["evaluate", "--data", "nowhere"], "There is no folder nowhere"),
        (["train", "--leave-out", "midjourney"], "The sources are .*camera, diffusion, gan, phone"),
        (["train", "--leave-out", "gan", "--resume"], "without --overwrite, --resume"),
        (["evaluate", "--leave-out", "gan"], "train: .* train --leave-out gan"),
        (["--model", "resnet18", "evaluate"], "no checkpoint"),
        (["--model", "resnet18", "report"], "not been tested yet"),
    ],
)
def test_mistakes_are_told_in_one_line(trained_once: Path, command: list[str], said: str) -> None:
    result = run("--paths", trained_once, *command)
    assert result.returncode == 2 and re.search(said, result.stderr) and "Traceback" not in result.stderr


def test_a_class_without_pictures_is_told_from_one_that_is_not_resized(trained: Path) -> None:
    """Else `resize` and `train` would send from one to the other for ever."""
    folder = trained.parent / "dataset"
    for part in ("train", "test"):
        shutil.rmtree(folder / f"resized_{part}/fake")
        shutil.rmtree(folder / part / "fake")
        (folder / part / "fake").mkdir()
    result = run("--paths", trained, "resize")
    assert result.returncode == 1
    said = f"there are no pictures in {folder / 'test/fake'}. Put some there, then resize."
    assert f"test-fake: {said}" in result.stdout and "train-real: 0 pictures resized" in result.stdout
    for command in (["train", "--overwrite"], ["test"], ["evaluate"], ["explain", "--sheet"]):
        empty = folder / ("train" if command[0] == "train" else "test") / "fake"
        result = run("--paths", trained, *command)
        assert result.returncode == 2, command
        assert f"no fake pictures in {empty}." in result.stderr
    elsewhere = run("--paths", trained, "evaluate", "--data", folder / "test")
    assert elsewhere.returncode == 2 and "test/fake has no fake" in elsewhere.stderr
    paint(folder / "test/fake/a.jpg", 1)
    result = run("--paths", trained, "test")
    assert "no class folder 'fake'" in result.stderr and ": python menu.py" in result.stderr


def test_the_only_source_of_a_class_cannot_be_left_out(trained: Path) -> None:
    shutil.rmtree(trained.parent / "dataset/resized_train/fake/diffusion")
    result = run("--paths", trained, "train", "--leave-out", "gan")
    assert result.returncode == 2 and "gan is the only source" in result.stderr


def test_random_degradations_depend_on_seed_and_name_alone() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    first = [degrade_at_random(pixels, make_random(seed, "a.jpg")) for seed in range(12)]
    again = [degrade_at_random(pixels, make_random(seed, "a.jpg")) for seed in range(12)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(image.shape == pixels.shape and image.dtype == np.uint8 for image in first)
    assert len({image.tobytes() for image in first}) > 9
    assert not np.array_equal(first[0], degrade_at_random(pixels, make_random(0, "b.jpg")))
