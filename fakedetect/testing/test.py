"""Options 3.2 and 3.3: predictions on a whole data set, the report, the confusion matrix."""

from contextlib import nullcontext
from pathlib import Path

from sklearn import metrics

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.files import run_lock
from fakedetect.core.model_folder import confusion_figure, require_checkpoint, results_file
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.dataset.samples import describe_faults
from fakedetect.models.processes import is_first, join_group
from fakedetect.models.test_run import TestRun, measure_folder, write_test
from fakedetect.testing.results import tell_one_sided


def test_model(settings: Settings, console: Console, on: str = "test") -> TestRun | None:
    """Predict the resized folder 'train' or 'test' and keep the results in the model's folder.

    Returns:
        None in all but the first of several processes.

    Raises:
        UserError: the model is not trained or was exchanged meanwhile, or no picture can be read.
    """
    # Before the lock, which would make a folder for a model that was never trained.
    require_checkpoint(settings)
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        with join_group() as group:
            run = measure_folder(settings, console, on, group)
        if not group.first:
            return None
        write_test(settings, run)
    return run


def run_test(settings: Settings, console: Console, on: str = "test") -> Outcome:
    """Predict a whole data set, print the reference's report and write the results."""
    run = test_model(settings, console, on)
    return _word(settings.model_folder, run) if run else Outcome("")


def _word(folder: Path, run: TestRun) -> Outcome:
    """The results as the screen shows them, with the reference's report."""
    results, found = run.results, run.predictions
    matrix = results.confusion_matrix
    report = metrics.classification_report(
        found.labels, found.predicted, labels=(0, 1), target_names=CLASSES, zero_division=0
    )
    lines = [
        f"{results.model} on the {results.on} dataset: {plural(results.count, 'image')}"
        + (f", {plural(results.left_out, 'bad picture')} skipped" if results.left_out else ""),
        f"Accuracy: {100 * results.accuracy:.2f} %",
        "",
        "Classification report:",
        report,
        "Confusion matrix (rows: true, columns: predicted):",
        f"{'':>8}{CLASSES[0]:>8}{CLASSES[1]:>8}",
        *(f"{name:>8}{row[0]:>8}{row[1]:>8}" for name, row in zip(CLASSES, matrix, strict=True)),
        f"{plural(matrix[0][1], 'fake')} classified as real, {matrix[1][0]:,} real classified as fake",
        *tell_one_sided(matrix),
    ]
    lines += describe_faults(found.bad)
    figure = confusion_figure(folder, results.on)
    lines.append(f"Results: {results_file(folder, results.on)} and {figure.name}")
    return Outcome("\n".join(lines), 1 if found.bad else 0)
