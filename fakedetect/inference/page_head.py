"""What stands above the pictures of a check's page: who judged them, and how far to believe that."""

from collections.abc import Sequence

from fakedetect.core.console import printable
from fakedetect.core.evaluation_record import Entry, Evaluation
from fakedetect.core.page import beside, heading, paragraph, section, table
from fakedetect.inference.known import Known, explain_p_fake, remind, tell_base_rates
from fakedetect.metrics.intervals import measure_share
from fakedetect.models.detector import Detector


def tell_models(known: Sequence[Known], prevalence: float) -> str:
    """The models: thresholds, what they were measured on, how they did on other pictures, base rates."""
    title = "The model" if len(known) == 1 else "The models"
    told = [part for each in known for part in _tell_model(each)]
    weak = all(each.is_weak for each in known)
    rates = [
        heading("What the figures mean"),
        paragraph(explain_p_fake(known, weak)),
        heading("How many verdicts would be correct"),
        *(paragraph(line) for line in tell_base_rates(known, prevalence)),
    ]
    return section(title, beside("".join(told), "".join(rates)))


def _tell_model(known: Known) -> list[str]:
    detector = known.detector
    return [
        heading(detector.name),
        *(paragraph(line, "warning" if known.is_weak else "") for line in remind(known)),
        paragraph(_tell_thresholds(detector)),
        _tell_measures(known),
        paragraph(f"Checkpoint: SHA-256 {detector.checkpoint_hash}.{_tell_training(detector)}", "soft"),
    ]


def _tell_thresholds(detector: Detector) -> str:
    found = detector.calibration
    if not found.fitted:
        return "No thresholds are fitted: the fake/real threshold is 50 %, and p(fake) is not calibrated."
    between = "and unsure in between" if found.fake_from > found.real_below else "and none is unsure"
    return (
        f"It calls a picture fake at p(fake) {found.fake_from:.1%} or above, real below "
        f"{found.real_below:.1%}, {between}."
    )


def _tell_training(detector: Detector) -> str:
    data = detector.training.data
    if data is None or data.count is None:
        return ""
    classes = f" ({data.fake:,} fake, {data.real:,} real)" if data.fake is not None and data.real else ""
    return f" It was trained on {data.count:,} pictures{classes}."


def _tell_measures(known: Known) -> str:
    """A row for each set of pictures that the model was measured on."""
    evaluation, test = known.evaluation, known.test
    rows = []
    if evaluation.test:
        rows.append(_entry_row("test dataset, like its training pictures", evaluation.test))
    elif test:
        accuracy = measure_share(round(test.accuracy * test.count), test.count).describe(".1%")
        auc = "-" if test.roc_auc is None else f"{test.roc_auc:.3f}"
        rows.append(("test dataset, like its training pictures", test.count, accuracy, auc, "-"))
    rows += _unseen_rows(evaluation)
    rows += [
        _entry_row(f"other sources: {printable(name)}", entry) for name, entry in evaluation.foreign.items()
    ]
    headings = ("measured on", "pictures", "accuracy (95 % interval)", "ROC AUC", "fake recall")
    return table(headings, rows)


Row = tuple[str, int, str, str, str]


def _entry_row(name: str, entry: Entry) -> Row:
    found = entry.measures
    return (
        name,
        entry.count,
        found.accuracy.describe(".1%"),
        str(found.roc_auc),
        found.recall_fake.describe(".1%"),
    )


def _unseen_rows(evaluation: Evaluation) -> list[Row]:
    found = evaluation.unseen_sources
    if found is None or not found.of_sources:
        return []
    fakes = sum(family.n for family in found.families.values())
    count = fakes + sum(source.n for source in found.real_sources.values())
    recall = f"{found.fake_recall_at_5.describe('.1%')} at 5 % false alarms"
    return [("held-out sources", count, "-", str(found.auc), recall)]
