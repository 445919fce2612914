"""Every figure that a command draws: its colours, its words, its scales."""

import csv
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from conftest import paint, run
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from fakedetect.explaining.heatmaps import overlay
from fakedetect.testing.figures import plot_roc
from fakedetect.testing.results import plot_confusion

FAKE, REAL = "#d62728", "#1f77b4"
Draw = Callable[..., list[Figure]]


@pytest.fixture(scope="module")
def drawing() -> Iterator[Draw]:
    """Runs a command and returns the figures that it has drawn."""
    drawn: list[Figure] = []
    draw_it = matplotlib.figure.Figure.draw

    def keep(figure: Figure, *arguments: object, **named: object) -> None:
        drawn.append(figure)
        draw_it(figure, *arguments, **named)

    def draw(paths: Path, *command: object) -> list[Figure]:
        drawn.clear()
        result = run("--paths", paths, *command)
        assert result.returncode == 0, result.stderr
        return list(drawn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matplotlib.figure.Figure, "draw", keep)
        yield draw


@pytest.fixture(scope="module")
def shown(trained_once: Path, tmp_path_factory: pytest.TempPathFactory, drawing: Draw) -> dict:
    """The figures of each command on a trained model whose pictures are not square."""
    folder = tmp_path_factory.mktemp("shown") / "project"
    shutil.copytree(trained_once.parent, folder)
    paths = folder / "paths.toml"
    # One more model, whose losses are on another scale.
    other = folder / "model_folders/other"
    shutil.copytree(folder / "model_folders/tiny", other)
    text = (other / "training_log.csv").read_text().splitlines()
    rows = [text[0], "1,7.0,5.0,0.5,1.0,1.0", "2,6.0,5.5,0.5,1.0,1.0", ""]
    (other / "training_log.csv").write_text("\n".join(rows))
    paths.write_text(paths.read_text() + '\n[models.other]\ntimm = "test_resnet"\n')
    picture = paint(folder / "wide $a$ picture.png", 3, (600, 200))
    commands = (["test"], ["evaluate"], ["loss-graph"], ["compare"], ["explain", picture])
    found = {command[0]: drawing(paths, *command) for command in commands}
    # Too few for the audit of shortcuts, which takes longer than all the rest.
    few = tmp_path_factory.mktemp("few")
    for number in range(4):
        for name in ("train/fake/gan", "train/real/camera", "test/fake/gan", "test/real/phone"):
            paint(
                few / "dataset" / name / f"{number}.png", hash_of(name) + number, (200 + 40 * number, 200)
            )
    # No formula, though matplotlib would take it for one that it cannot read.
    paint(few / "dataset/train/fake/$a_{$b/$_{$.png", 5)
    twin = few / "dataset/train/real/camera/a_very_long_name_of_the_same_picture.png"
    shutil.copy(few / "dataset/test/fake/gan/0.png", twin)
    (few / "paths.toml").write_text("")
    return {**found, "explore": drawing(few / "paths.toml", "explore")}


def hash_of(name: str) -> int:
    return sum(map(ord, name)) * 10


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def titled(figures: list[Figure], part: str) -> Figure:
    """The one figure with such a title."""
    (found,) = [figure for figure in figures if any(part in text for text in texts(figure))]
    return found


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.axison]


def colours(figure: Figure) -> set[str]:
    """The colours of all curves, bars and points."""
    drawn = [artist for axes in figure.axes for artist in (*axes.lines, *axes.patches, *axes.collections)]
    found = set()
    for artist in drawn:
        for name in ("get_color", "get_facecolor"):
            if hasattr(artist, name):
                value = getattr(artist, name)()
                for each in value if isinstance(value, np.ndarray) and value.ndim == 2 else [value]:
                    found.add(to_hex(each))
    return found


def test_every_panel_has_a_title_and_its_axes_have_names(shown: dict) -> None:
    assert any(r"\$a_{\$b" in text for text in texts(titled(shown["explore"], "Pictures by folder")))
    for command, figures in shown.items():
        assert figures, command
        for figure in figures:
            for axes in panels(figure):
                if axes.get_label() == "<colorbar>":
                    assert axes.get_ylabel()
                    continue
                assert axes.get_title(), (command, texts(figure))
                assert axes.get_xlabel() and axes.get_ylabel(), (command, axes.get_title())


def test_the_classes_have_two_colours_that_nothing_else_has(shown: dict) -> None:
    classes = {FAKE, REAL}
    sizes = titled(shown["explore"], "Sizes and shapes by class")
    assert colours(sizes) & classes == classes
    for figure in (
        titled(shown["explore"], "Pictures by folder"),
        titled(shown["evaluate"], "degraded alike"),
        titled(shown["evaluate"], "calibrated"),
        *shown["test"],
        *shown["compare"],
        *shown["loss-graph"],
    ):
        assert not colours(figure) & classes, texts(figure)
    for axes in panels(titled(shown["compare"], "Confusion matrices")):
        by_name = {label.get_text(): to_hex(label.get_color()) for label in axes.get_xticklabels()}
        assert by_name == {"fake": FAKE, "real": REAL}


def test_both_classes_are_seen_where_all_pictures_have_one_size(project: Path, drawing: Draw) -> None:
    for number in range(6):
        for name in ("fake", "real"):
            paint(project.parent / "dataset/train" / name / f"{number}.png", number, (200, 200))
    figures = drawing(project, "explore")
    for axes in panels(titled(figures, "Sizes and shapes by class")):
        bars = [bar for bar in axes.patches if bar.get_height() > 0]
        assert {to_hex(bar.get_facecolor()) for bar in bars} == {FAKE, REAL}
        first, second = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)
        assert first[1] <= second[0] + 1e-9, "one would hide the other"
    # Pictures without a source are their class's.
    counts = titled(figures, "Pictures by folder")
    assert colours(counts) == {FAKE, REAL}


def test_degradations_are_named_and_share_a_scale(shown: dict) -> None:
    axes = panels(titled(shown["evaluate"], "degraded alike"))
    assert [each.get_title() for each in axes] == [
        "JPEG compression", "WebP compression", "Scaled down and back", "Gaussian blur",
        "Gaussian noise", "Cropped", "Screenshot at another size",
    ]  # fmt: skip
    assert len({each.get_ylim() for each in axes}) == 1
    labels = [text.get_text() for text in axes[0].get_xticklabels()]
    assert labels == ["none", "95", "85", "70", "50", "30"]


def test_panels_that_are_compared_share_a_scale(shown: dict) -> None:
    losses = panels(titled(shown["compare"], "Training vs. Validation Loss"))
    assert len(losses) == 2 and len({(each.get_xlim(), each.get_ylim()) for each in losses}) == 1
    assert losses[0].get_ylim()[1] > 7
    sizes = panels(titled(shown["explore"], "Sizes and shapes by class"))
    for column in range(3):
        assert len({(each.get_xlim(), each.get_ylim()) for each in sizes[column::3]}) == 1


def test_the_best_epoch_is_marked(shown: dict) -> None:
    (axes,) = panels(shown["loss-graph"][0])
    marks = [line for line in axes.lines if line.get_label().startswith("best epoch: ")]
    assert len(marks) == 1
    losses = next(line for line in axes.lines if line.get_label() == "Validation Loss")
    best = losses.get_xdata()[np.argmin(losses.get_ydata())]
    assert list(marks[0].get_xdata()) == [best, best]


def test_ticks_stand_at_round_values(shown: dict) -> None:
    checked = 0
    for figure in (figure for figures in shown.values() for figure in figures):
        for axis in (axis for axes in panels(figure) for axis in (axes.xaxis, axes.yaxis)):
            said = [text.get_text() for text in axis.get_ticklabels()]
            if not all(re.fullmatch(r"[\d.]+", each) for each in said):
                continue
            steps = {round(float(b) - float(a), 9) for a, b in itertools.pairwise(said)}
            assert len(steps) <= 1, said
            assert all(f"{step:e}"[0] in "125" for step in steps), (texts(figure), said)
            checked += 1
    assert checked > 30


def test_both_pictures_of_a_pair_are_shown_with_their_folders(shown: dict) -> None:
    captions = [axes.get_title() for axes in titled(shown["explore"], "Pairs of duplicates").axes]
    pair = next(n for n, caption in enumerate(captions) if "exact" in caption)
    folders = {"train real, camera", "test fake, gan"}
    assert {line for caption in captions[pair : pair + 2] for line in caption.splitlines()} >= folders
    assert any("…" in caption and "picture.png" in caption for caption in captions)


def test_a_heat_map_has_the_shape_of_its_picture(shown: dict) -> None:
    (figure,) = shown["explain"]
    shapes = [axes.images[0].get_array().shape for axes in figure.axes if axes.images]
    assert len(shapes) == 3 and len(set(shapes)) == 1
    height, width = shapes[0][:2]
    assert width / height == pytest.approx(3, rel=0.05)


def test_a_test_picture_is_explained_in_the_shape_of_its_original(trained: Path, drawing: Draw) -> None:
    (sheet,) = drawing(trained, "explain", "--sheet", "4")
    ratios = [axes.images[0].get_array().shape for axes in sheet.axes if axes.images]
    # Painted fakes are 300 x 260, real ones 250 x 240.
    assert {round(width / height, 2) for height, width, _ in ratios} == {1.15, 1.04}


def test_a_heat_map_says_what_check_says_and_how_far_to_trust_it(trained: Path, drawing: Draw) -> None:
    file = trained.parent / "model_folders/tiny/training.json"
    facts = json.loads(file.read_text())
    facts["calibration"] |= {"fake_from": 1.0, "real_below": 0.0}
    file.write_text(json.dumps(facts))
    picture = next((trained.parent / "dataset/test/fake").rglob("*.jpg"))
    out = trained.parent / "out.csv"
    (figure,) = drawing(trained, "check", picture, "--heat-map", "--csv", out)
    with out.open(encoding="utf-8-sig", newline="") as opened:
        (row,) = csv.DictReader(opened)
    # Whatever the probability is: between these thresholds nothing is sure.
    words = f"unsure, p(fake) {100 * float(row['p_fake']):.1f} %"
    title = figure.get_suptitle().replace("\n", " ")
    (record,) = (trained.parent / "grad-cam_images").glob("*.json")
    saved = json.loads(record.read_text())
    assert words in title and saved["trust"] in title and saved["verdict"] == row["verdict"] == "unsure"
    result = run("--paths", trained, "explain", picture)
    assert f": {words}" in result.stdout and saved["trust"] in result.stdout
    checked = run("--paths", trained, "check", picture, "--heat-map")
    assert saved["trust"] in checked.stdout


def test_a_heat_map_is_read_by_its_brightness() -> None:
    values = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    coloured, _ = overlay(np.zeros((64, 64, 3), np.uint8), values)
    brightness = coloured[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) >= 0).all() and brightness[0] < 20 < 200 < brightness[-1]


def test_curves_differ_in_more_than_colour() -> None:
    axes = Figure().subplots()
    line = (np.linspace(0, 1, 9), np.linspace(0, 1, 9))
    plot_roc(axes, {f"model {number}": line for number in range(7)}, "ROC")
    styles = [(each.get_linestyle(), each.get_marker()) for each in axes.lines[:7]]
    assert len(set(styles)) == 7 and len({marker for _, marker in styles}) == 7
    assert styles[0][0] != styles[1][0] != styles[2][0]


def test_cells_of_a_confusion_matrix_differ_where_their_shares_do() -> None:
    axes = Figure().subplots()
    plot_confusion(axes, [[100, 0], [17, 83]], ("fake", "real"), "")
    full, empty, low, high = (255 * (1 - patch.get_alpha()) for patch in axes.patches)
    assert high - full > 40 and empty == 255 and 250 < low < 255


def test_figures_are_pictures(trained_once: Path) -> None:
    with Image.open(trained_once.parent / "model_folders/tiny/loss_plot.jpg") as plot:
        assert plot.format == "JPEG" and min(plot.size) > 400
