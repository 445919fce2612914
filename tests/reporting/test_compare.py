"""Option 7 on results that are known beforehand."""

import csv
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Terminal, paint, run
from PIL import Image

from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.reporting.compare import compare_models


def plant(
    project: Path, model: str, wrong: list[int], count: int = 100, first: int = 0, copies: str = ""
) -> None:
    """Results of a test on `count` pictures, half fake, in which the numbers `wrong` are mistaken.

    Args:
        copies: the pictures lie in a folder of copies of this name, in dataset.
    """
    folder = project.parent / "model_folders" / model
    folder.mkdir(parents=True)
    matrix = np.zeros((2, 2), int)
    with (folder / "test_predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "source", "label", "predicted", "p_fake"))
        for number in range(count):
            label = number % 2
            predicted = 1 - label if number in wrong else label
            matrix[label, predicted] += 1
            inside = f"dataset/{copies}/{('fake', 'real')[label]}" if copies else ""
            path = project.parent / inside / f"{first + number:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if number in wrong[:3]:
                paint(path, number)
            p_fake = 0.9 - number / 1000 if predicted == 0 else 0.1 + number / 1000
            writer.writerow((path, "", ("fake", "real")[label], ("fake", "real")[predicted], p_fake))
    classes = {name: dict.fromkeys(("precision", "recall", "f1"), 0.9) for name in ("fake", "real")}
    results = {"count": count, "classes": classes, "confusion_matrix": matrix.tolist()}
    results |= {"accuracy": 1 - len(wrong) / count, "parameters": 1000, "images_per_second": 5.0}
    (folder / "test_results.json").write_text(json.dumps(results))
    (folder / "training_log.csv").write_text(
        "epoch,train_loss,val_loss,val_accuracy,seconds,images_per_second\n1,1,0.9,0.5,1,1\n2,0.8,0.7,1,1,1\n"
    )


def test_models_of_two_sizes_are_compared_on_the_pictures_that_their_copies_are_of(project: Path) -> None:
    plant(project, "resnet18", list(range(40)), copies="resized_test")
    plant(project, "tiny", list(range(10)), copies="resized_test_384")
    (pair,) = compare_models(load_settings(project), Console(quiet=True)).pairs
    assert pair.better == "tiny" and pair.p is not None and pair.p < 1e-4


def test_models_that_were_tested_before_and_after_a_review_are_not_compared(project: Path) -> None:
    plant(project, "resnet18", list(range(40)))
    plant(project, "tiny", list(range(10)))
    file = project.parent / "model_folders/tiny/test_predictions.csv"
    file.write_text(file.read_text().replace("0050.png,,fake,fake", "0050.png,,real,real"))
    (pair,) = compare_models(load_settings(project), Console(quiet=True)).pairs
    assert pair.p is None


def test_better_is_said_only_where_the_test_holds(project: Path) -> None:
    plant(project, "resnet18", list(range(0, 40)))
    plant(project, "resnet50", list(range(0, 10)))
    plant(project, "vit_b_16", list(range(0, 11)))
    plant(project, "tiny", [], first=5000)
    assert "(reference)" not in run("--paths", project, "compare").stdout
    result = run("--paths", project, "compare", "--reference")
    assert result.returncode == 0, result.stderr
    assert "resnet50 is better than resnet18" in result.stdout
    assert re.search(r"resnet50 and vit_b_16: no .*\(p = 1\)", result.stdout)
    assert result.stdout.count("different pictures: not compared") == 3
    folder = project.parent / "model_folders"
    with (folder / "comparison.csv").open(newline="") as file:
        table = {(row["model"], row["from"]): row for row in csv.DictReader(file)}
    three = itertools.product(("resnet18", "resnet50", "vit_b_16"), ("measured", "reference"))
    assert set(table) == {*three, ("tiny", "measured")}
    row = table["resnet18", "measured"]
    assert float(row["accuracy"]) == 0.6 and row["epochs"] == "2" and row["parameters"] == "1000"
    assert 0.45 < float(row["accuracy_low"]) < 0.56 and 0.64 < float(row["accuracy_high"]) < 0.75
    assert float(row["auc_low"]) <= float(row["roc_auc"]) <= float(row["auc_high"])
    assert float(table["vit_b_16", "reference"]["accuracy"]) == pytest.approx(0.9666)
    markdown = (folder / "comparison.md").read_text()
    assert "**100.00 (96.30-100.00)**" in markdown and markdown.count("**100.00 ") == 1
    for name in ("comparison_roc", "comparison_confusion", "comparison_loss", "wrong_answers_resnet18"):
        with Image.open(folder / f"{name}.png") as figure:
            assert min(figure.size) > 200
    with (folder / "wrong_answers_resnet18.csv").open(newline="") as file:
        wrong = list(csv.DictReader(file))
    assert len(wrong) == 40 and [row["label"] for row in wrong] == ["fake"] * 20 + ["real"] * 20
    confidence = [float(row["confidence"]) for row in wrong[:20]]
    assert confidence == sorted(confidence, reverse=True)
    assert not (folder / "wrong_answers_tiny.png").exists()


def test_each_source_has_each_models_recall(project: Path) -> None:
    plant(project, "resnet18", list(range(0, 40)))
    plant(project, "tiny", [1])
    assert "by source" not in run("--paths", project, "compare").stdout
    folder = project.parent / "model_folders"
    for name in ("resnet18", "tiny"):
        file = folder / name / "test_predictions.csv"
        with file.open(newline="") as table:
            rows = list(csv.DictReader(table))
        for number, row in enumerate(rows):
            row["source"] = ("first", "second")[number >= 20] if row["label"] == "fake" else ""
        with file.open("w", newline="") as table:
            writer = csv.DictWriter(table, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    told = run("--paths", project, "compare").stdout
    table = {line.split("  ")[0]: line.split()[1:] for line in told.splitlines() if " of " in line}
    assert table["fake/first"] == ["0.0", "of", "10", "100.0", "of", "10"]
    assert table["fake/second"] == ["75.0", "of", "40", "100.0", "of", "40"]
    assert table["real"] == ["60.0", "of", "50", "98.0", "of", "50"]
    assert "| tiny | 100.0 of 10 | 100.0 of 40 | 98.0 of 50 |" in (folder / "comparison.md").read_text()
    with (folder / "comparison_sources.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "tiny" and row["class"] == "real"]
    assert rows[0]["pictures"] == "50" and 0.88 < float(rows[0]["low"]) < 0.91


def test_a_starter_is_not_to_be_trained_again(project: Path) -> None:
    section = '\n[models.starter]\ntimm = "test_resnet"\nrecipe = "probe"\n'
    project.write_text(project.read_text(encoding="utf-8") + section, encoding="utf-8")
    plant(project, "starter", list(range(40)))
    plant(project, "tiny", [1])
    told = run("--paths", project, "compare").stdout
    assert "starter was trained elsewhere" in told and "tiny is better than starter" in told
    assert "and tiny was trained once" in told and "starter and tiny" not in told


def repeat(project: Path, model: str, accuracies: list[float]) -> None:
    """Runs with so many seeds, of the planted model, which bears no hash."""
    runs = []
    for seed, accuracy in enumerate(accuracies):
        figures = {"validation_loss": 0.5, "validation_accuracy": 0.9, "accuracy": accuracy}
        runs.append({"seed": seed, "checkpoint": str(seed), "best_epoch": 1, "figures": figures})
    low, high = min(accuracies), max(accuracies)
    spread = {"runs": len(runs), "mean": low, "deviation": 0.01, "lowest": low, "highest": high}
    record = {"checkpoint": "", "runs": runs, "spread": {"accuracy": spread}}
    (project.parent / "model_folders" / model / "repeats.json").write_text(json.dumps(record))


def test_better_is_said_with_what_other_seeds_gave(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fakedetect.reporting import compare

    monkeypatch.setattr(compare, "_write_comparison", lambda *_: None)
    for model, wrong, accuracies in (
        ("resnet18", 40, [0.6, 0.85]),
        ("resnet50", 10, [0.9, 0.8]),
        ("vit_b_16", 70, [0.3, 0.4]),
        ("tiny", 0, []),
    ):
        plant(project, model, list(range(wrong)))
        if accuracies:
            repeat(project, model, accuracies)
    told = run("--paths", project, "compare").stdout
    lines = {line.split(" (p")[0]: line for line in told.splitlines() if "is better than" in line}
    assert lines["- resnet50 is better than resnet18"].endswith("runs overlap")
    assert lines["- resnet18 is better than vit_b_16"].endswith(", in every run")
    assert lines["- tiny is better than resnet18"].endswith(")")
    assert "and tiny was trained once" in told and " train --repeat 3" in told
    assert "- vit_b_16, 2 runs: test accuracy 30.0 % ± 1.0 % (30.0 % to 40.0 %)" in told


def test_damaged_results_are_left_out_and_none_at_all_is_said(project: Path) -> None:
    nothing = run("--paths", project, "compare")
    assert nothing.returncode == 2 and "No model has been tested" in nothing.stderr
    plant(project, "resnet18", [1])
    plant(project, "resnet50", [2])
    (project.parent / "model_folders/resnet50/test_predictions.csv").write_text("path\n")
    result = run("--paths", project, "compare")
    assert result.returncode == 0 and "Skipped resnet50: " in result.stderr


def test_a_comparison_is_data_before_it_is_words(project: Path) -> None:
    from fakedetect.core.settings.settings import load_settings
    from fakedetect.core.terminal.console import Console
    from fakedetect.reporting.compare import compare_models

    plant(project, "resnet18", list(range(0, 40)))
    plant(project, "resnet50", list(range(0, 10)))
    plant(project, "tiny", [], first=5000)
    found = compare_models(load_settings(project), Console())
    assert [model.name for model in found.models] == ["resnet18", "resnet50", "tiny"]
    clear = found.pairs[0]
    assert (clear.better, clear.worse) == ("resnet50", "resnet18") and (clear.p or 1) < 1e-4
    assert [pair.p for pair in found.pairs[1:]] == [None, None]
    assert len(found.mistakes["resnet18"]) == 40 and len(found.epochs["tiny"]) == 2
    assert not (project.parent / "model_folders/comparison.csv").exists()


def test_results_that_cannot_be_used_are_not_called_untested(project: Path) -> None:
    plant(project, "resnet18", [1])
    (project.parent / "model_folders/resnet18/test_results.json").write_text("{}")
    result = run("--paths", project, "compare")
    assert result.returncode == 2 and "usable test results" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("columns", "blocks"), [(40, 5), (60, 3), (80, 3), (110, 2), (200, 1)])
def test_the_table_fits_the_terminal(
    project: Path, monkeypatch: pytest.MonkeyPatch, columns: int, blocks: int
) -> None:
    from fakedetect.core.settings.settings import load_settings
    from fakedetect.core.terminal.console import Console
    from fakedetect.reporting.compare import compare_models
    from fakedetect.reporting.comparison_table import format_table

    for name, wrong in (("resnet18", range(40)), ("resnet50", range(10)), ("tiny", ())):
        plant(project, name, list(wrong))
    terminal = Terminal(columns)
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    found = compare_models(load_settings(project), Console(quiet=True), reference=True)
    console = Console()
    shown, markdown = format_table(found.table, console)
    console.show(shown)
    lines = [
        line.rstrip() for line in terminal.read().replace("\x1b[1m", "").replace("\x1b[0m", "").split("\n")
    ]
    terminal.close()
    assert all(len(line) <= columns for line in lines), lines
    names = [line.split() for line in lines if line.startswith("model")]
    assert len(names) == blocks
    text = "\n".join(lines)
    for cell in ("100.00 (96.30-100.00)", "resnet50 (reference)", "94.25"):
        assert cell in text
    assert "| tiny | 100 | **100.00 (96.30-100.00)** |" in markdown


def test_in_a_file_the_table_has_a_fixed_width(project: Path) -> None:
    for name in ("resnet18", "resnet50"):
        plant(project, name, [1, 2])
    said = run("--paths", project, "compare", "--reference").stdout.split("precision, recall and F1:")[0]
    table = said.split("Tables and figures: ")[1].split("\n", 1)[1]
    assert "resnet50 (reference)" in table and "fake>real" in table
    assert 80 < max(map(len, table.splitlines())) <= 100
