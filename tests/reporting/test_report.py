"""Option 3.7: what the report says of models that are known in part, and what it asks for."""

import csv
import html
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from conftest import run

from fakedetect.core.version import describe_version


def read_report(paths: Path) -> str:
    """The text of a fresh report, without its tags."""
    result = run("--paths", paths, "report")
    assert result.returncode == 0, result.stderr[-2000:]
    page = (paths.parent / "model_folders/tiny/report.html").read_text(encoding="utf-8")
    return html.unescape(re.sub(r"<[^>]+>", "", page.split("</style>")[1]))


def foreign_folder(paths: Path) -> Path:
    """The test pictures once more, as a folder from elsewhere."""
    target = paths.parent / "elsewhere"
    shutil.copytree(paths.parent / "dataset/test", target)
    return target


@pytest.mark.parametrize("always", ["fake", "real"])
def test_a_model_with_one_answer_gets_a_remark_wherever_its_results_are_told(
    trained: Path, always: str
) -> None:
    # Both checkpoints would be converted for OpenVINO, which takes longer than these few pictures.
    text = trained.read_text(encoding="utf-8") + '\n[inference]\nengine = "torch"\n'
    trained.write_text(text, encoding="utf-8")
    checkpoint = trained.parent / "model_folders/tiny/classifier_model.pth"
    state = torch.load(checkpoint, weights_only=True)
    margin = 1e4 if always == "fake" else -1e4
    state["fc.bias"] = torch.tensor([margin, -margin])
    torch.save(state, checkpoint)
    remark = f"the model calls every picture {always} (100.0 % of the fakes, 100.0 % of the reals)"
    for command in (["test"], ["compare"], ["evaluate", "--data", foreign_folder(trained)]):
        result = run("--paths", trained, *command)
        assert result.returncode == 0 and remark in " ".join(result.stdout.split()), (
            command,
            result.stderr,
        )
    assert remark in (trained.parent / "model_folders/comparison.md").read_text(encoding="utf-8")
    report = read_report(trained)
    assert report.count(remark) == 2, "once of the test pictures, once of the foreign ones"
    assert "Not suitable for: anything." in report


def test_a_good_model_gets_no_such_remark(trained_once: Path) -> None:
    compared = run("--paths", trained_once, "compare")
    assert compared.returncode == 0 and "does not separate the classes" not in compared.stdout


def test_the_report_of_a_foreign_checkpoint_does_not_know_its_training(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    known = read_report(trained)
    assert "On pictures like its training" in known and "--model tiny train" in known
    assert "best epoch" in known and "training time" in known and "@software{fakedetect," in known
    # A dropped-in checkpoint has the log of the model that was there before, too.
    (folder / "training.json").unlink()
    unknown = read_report(trained)
    assert "is unknown (no training.json)" in unknown
    assert "that it was trained on" not in unknown and "training time" not in unknown
    assert "training pictures" not in unknown and "best epoch" not in unknown
    repeat = unknown.split("Reproduce this report")[1]
    assert "--model tiny test" in repeat and "tiny train" not in repeat and "trained with" not in repeat
    # Thresholds leave a training.json that knows no more of its training.
    fitted = run("--paths", trained, "fit-thresholds", "--max-false-alarms", "0.4", "--max-missed", "0.4")
    if fitted.returncode == 0:
        assert "tiny train" not in read_report(trained)


def test_a_checkpoint_put_in_the_place_of_another_does_not_inherit_its_training(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/classifier_model.pth"
    state = torch.load(file, weights_only=True)
    torch.save({key: value * 1.001 for key, value in state.items()}, file)
    assert run("--paths", trained, "test").returncode == 0
    page = read_report(trained)
    assert "trained is unknown" in page and "training time" not in page
    assert "tiny train" not in page.split("Reproduce this report")[1]
    assert run("--paths", trained, "compare").returncode == 0
    with (trained.parent / "model_folders/comparison.csv").open(newline="", encoding="utf-8") as opened:
        rows = {row["model"]: row for row in csv.DictReader(opened)}
    assert rows["tiny"]["epochs"] == ""


def test_thresholds_after_the_evaluation_ask_for_another_one(evaluated: Path) -> None:
    measured = read_report(evaluated)
    assert "fitted after the evaluation" not in measured and "calibrated." in measured
    file = evaluated.parent / "model_folders/tiny/training.json"
    record = json.loads(file.read_text())
    # As another fit leaves it; one on these few pictures may come to the same thresholds.
    record["calibration"]["temperature"] *= 1.5
    file.write_text(json.dumps(record))
    asked = read_report(evaluated)
    assert "fitted after the evaluation" in asked and "test dataset and elsewhere" in asked
    assert re.search(r"menu.py \S+ \S+ evaluate; .* --data \S+elsewhere", asked)
    table = asked.split("guaranteed at most")[1].split("The thresholds were")[0]
    assert "-" not in re.sub(r"\s", "", table), "no dashes"


def test_the_top_says_what_the_model_is_for(trained: Path) -> None:
    before = read_report(trained)
    assert f"by fakedetect {describe_version()}" in before
    assert "on other sources is unknown" in before
    assert "other sources, until" in before
    assert re.search(r"\d+ of 20 test pictures; 95 % interval [\d.]+ % to [\d.]+ %", before)
    folder = foreign_folder(trained)
    # All labels are wrong there: the model is worse than chance.
    (folder / "real").rename(folder / "ai")
    (folder / "fake").rename(folder / "real")
    (folder / "ai").rename(folder / "fake")
    assert run("--paths", trained, "evaluate", "--data", folder).returncode == 0
    after = read_report(trained)
    assert "other sources (elsewhere), it has" in after
    assert "not clearly better than chance" in after
    assert "other sources, such as elsewhere" in after
    for title in ("Confusion matrix", "ROC curve", "Calibrated p(fake) by class"):
        assert f"{title}: elsewhere" in after and f"{title}: test dataset" in after
    assert re.search(r"\d+ of 20 predictions are wrong", after)


def test_it_is_not_for_pictures_on_which_its_answers_are_next_to_chance(evaluated: Path) -> None:
    """A blur may leave the order of the pictures, and so the ROC AUC, and make every answer the same."""
    file = evaluated.parent / "model_folders/tiny/evaluation.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    robustness = found["test"]["robustness"]
    for point in robustness["points"]:
        point.update(roc_auc=1.0, recall_fake=1.0, recall_real=float(point["kind"] != "blur"))
    robustness["clean"]["roc_auc"] = 1.0
    file.write_text(json.dumps(found), encoding="utf-8")
    blur = next(point["says"] for point in robustness["points"] if point["kind"] == "blur")
    assert f"as much as by {blur}." in read_report(evaluated)


def test_copies_of_the_own_pictures_do_not_show_that_it_generalises(evaluated: Path) -> None:
    entry = json.loads((evaluated.parent / "model_folders/tiny/evaluation.json").read_text())["foreign"]
    assert entry["elsewhere"]["own"] == 20
    report = read_report(evaluated)
    assert "; 20 of them are in" in report
    assert "is measured on more of" in report
    told = run("--paths", evaluated, "evaluate", "--data", evaluated.parent / "elsewhere").stdout
    assert "; 20 of them are in" in told and "generalises" not in told


def test_answers_of_another_evaluation_are_not_shown(evaluated: Path) -> None:
    answers = evaluated.parent / "model_folders/tiny/foreign_elsewhere_predictions.csv"
    text = answers.read_text(encoding="utf-8")
    assert text.startswith("path,source,label,predicted,p_fake") and text.count("\n") == 21
    answers.write_text(text.replace("fake", "real"), encoding="utf-8")
    report = read_report(evaluated)
    assert "ROC curve: elsewhere" not in report
    assert "evaluate again: python menu.py" in report
