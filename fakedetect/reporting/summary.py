"""The top of a report: the most important figures, and in plain words what the model is suitable for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from fakedetect.core.records.evaluation import (
    Evaluation,
    ForeignEntry,
    Robustness,
    TestResults,
    format_range,
)
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import printable
from fakedetect.core.terminal.progress import format_figure, percent
from fakedetect.metrics.intervals import mean_interval, roc_auc_interval, share_interval
from fakedetect.testing.results import AUC_LOSS_TO_WARN, describe_one_sided, explain_doubt, find_auc

LOWEST_USABLE_ACCURACY = 0.6
"""Up to this accuracy on a source's pictures, or balanced accuracy, the model is not suitable for them."""

NAMED_SOURCE_COUNT = 4
"""Sources that the summary names for each class."""

INTERVAL = "95 % interval"


@dataclass(frozen=True)
class FigureTile:
    """A large figure, its name and a remark."""

    what: str
    figure: str
    remark: str


@dataclass(frozen=True)
class Summary:
    """The top of a report.

    `tiles` are the large figures and `plain` describes them. `one_sided` warns about a model that predicts
    one class for all pictures. `unfit` lists what the model must not be used for.
    """

    tiles: Sequence[FigureTile]
    plain: str
    one_sided: Sequence[str]
    unfit: Sequence[str]


def _share_tile(what: str, hits: int, count: int, of: str) -> FigureTile:
    low, high = share_interval(hits, count)
    interval = f"{INTERVAL} {format_range(low, high, '.1%')}"
    return FigureTile(what, percent(hits / count), f"{hits:,} of {count:,} {of}; {interval}")


def _tiles(results: TestResults, evaluation: Evaluation) -> Iterator[FigureTile]:
    """Yield accuracy, ROC AUC and both error rates with intervals, then those on foreign pictures."""
    (caught, missed), (alarms, cleared) = results.confusion_matrix
    fakes, reals = caught + missed, alarms + cleared
    yield _share_tile("Accuracy", caught + cleared, fakes + reals, "test pictures")
    if results.roc_auc is not None and fakes and reals:
        low, high = roc_auc_interval(results.roc_auc, fakes, reals)
        remark = f"on the test dataset, 0.5 is chance; {INTERVAL} {format_range(low, high)}"
        yield FigureTile("ROC AUC", f"{results.roc_auc:.3f}", remark)
    if fakes:
        yield _share_tile("Fakes classified as real", missed, fakes, "fakes")
    if reals:
        yield _share_tile("Reals classified as fake", alarms, reals, "real pictures")
    for name, entry in evaluation.foreign.items():
        measures = entry.measures
        for what, found, form in (
            ("Accuracy", measures.accuracy, ".1%"),
            ("ROC AUC", measures.roc_auc, ".3f"),
        ):
            if found.value is not None and found.low is not None and found.high is not None:
                remark = (
                    f"pictures from other sources; {INTERVAL} {format_range(found.low, found.high, form)}"
                )
                yield FigureTile(f"{what} on {name}", format_figure(found.value, form), remark)


def _name_sources(predictions: pd.DataFrame) -> str:
    """Return 'fake: gan, diffusion; real: camera'; classes without sources are left out."""
    parts = []
    for label in CLASSES:
        of_class = predictions.loc[predictions["label"] == label, "source"]
        names = [printable(source) for source in of_class.value_counts().index if source]
        if names:
            more = f" and {len(names) - NAMED_SOURCE_COUNT} more" if len(names) > NAMED_SOURCE_COUNT else ""
            parts.append(f"{label}: {', '.join(names[:NAMED_SOURCE_COUNT])}{more}")
    return "; ".join(parts)


def _is_weak(entry: ForeignEntry, own: float | None) -> bool:
    """Whether a model is near chance on foreign pictures, or clearly worse than on its own."""
    low, auc = entry.measures.balanced_accuracy.low, find_auc(entry)
    chance = low is None or low <= 0.5
    return chance or (own is not None and auc is not None and auc < own - AUC_LOSS_TO_WARN)


def _is_telling(entry: ForeignEntry, own: float | None) -> bool:
    """Whether the figures are conclusive: foreign pictures are from other sources, and there are enough."""
    return not entry.own and (own is None or not explain_doubt(own, entry.measures.roc_auc))


def _describe_generalisation(entry: ForeignEntry, own: float | None) -> str:
    """Describe figures on foreign pictures as the end of a sentence; '' if the model's own are missing."""
    low = entry.measures.balanced_accuracy.low
    if low is None or low <= 0.5:
        return ", not clearly better than chance"
    if _is_weak(entry, own):
        return ": it does not generalise to them"
    if own is None:
        return ""
    doubt = explain_doubt(own, entry.measures.roc_auc, entry.own)
    return f"; {doubt}" if doubt else ": it generalises to them"


def _describe_own_accuracy(
    results: TestResults, predictions: pd.DataFrame, model: str, trained_here: bool
) -> list[str]:
    low, high = share_interval(round(results.accuracy * results.count), results.count)
    sources = _name_sources(predictions)
    like = "On pictures like its training pictures" if trained_here else "On the test dataset"
    lines = [
        f"{like}{f' ({sources})' if sources else ''}, {model} has an accuracy of "
        f"{percent(results.accuracy)} ({format_range(low, high, '.1%')})."
    ]
    if not trained_here:
        lines.append(
            "How this checkpoint was trained is unknown (no training.json); the test pictures may have "
            "been used to train it."
        )
    return lines


def _describe_held_out(evaluation: Evaluation) -> list[str]:
    """Describe a probe's figures on held-out sources."""
    found = next(iter(evaluation.held_out), None)
    if found is None or not found.is_by_source:
        return []
    recall = found.fake_recall_at_5.describe(".1%")
    whole = f", with {found.condition}" if found.by_collection else ""
    return [
        f"On held-out generators{whole}, its fake recall is {recall} at a 5 % false-positive rate on real "
        f"pictures of held-out sources; ROC AUC {found.auc}."
    ]


def _describe_other_sources(settings: Settings, evaluation: Evaluation) -> list[str]:
    """Describe the model's accuracy on pictures unlike its training pictures."""
    own = find_auc(evaluation.test)
    lines = _describe_held_out(evaluation)
    for name, entry in evaluation.foreign.items():
        right, auc = entry.measures.accuracy, find_auc(entry)
        compared = f"; ROC AUC {auc:.3f} against {own:.3f}" if auc is not None and own is not None else ""
        lines.append(
            f"On pictures from other sources ({name}), it has an accuracy of {percent(right.value or 0)} "
            f"({format_range(right.low or 0, right.high or 0, '.1%')}{compared})"
            f"{_describe_generalisation(entry, own)}."
        )
    lines += [
        f"Trained without {source}, it has an accuracy of {percent(left.right.value)} on that source's "
        f"{left.label} pictures."
        for source, left in evaluation.left_out.items()
    ]
    if not lines:
        command = settings.command("evaluate", "--data", "FOLDER")
        lines.append(f"Its accuracy on other sources is unknown; {command} measures it.")
    return lines


def _weak_degradations(found: Robustness) -> list[str]:
    """List the mildest degradation of each kind that lowers the ROC AUC too much, or after which
    predictions are
    close to chance: a model may rank pictures well and still call all of them the same."""
    least = found.clean.roc_auc - AUC_LOSS_TO_WARN
    first: dict[str, str] = {}
    for point in found.points:
        if point.roc_auc < least or (point.recall_fake + point.recall_real) / 2 <= LOWEST_USABLE_ACCURACY:
            first.setdefault(point.kind, point.description)
    return list(first.values())


def _unfit_for(evaluation: Evaluation) -> list[str]:
    """List the pictures for which the measurements show that the model is not suitable."""
    own = find_auc(evaluation.test)
    found = []
    weak = [name for name, entry in evaluation.foreign.items() if _is_weak(entry, own)]
    shown = _describe_held_out(evaluation) or any(_is_telling(e, own) for e in evaluation.foreign.values())
    if weak:
        found.append(f"pictures from other sources, such as {', '.join(weak)}")
    elif not shown:
        more = " on more of them" if evaluation.foreign else ""
        found.append(f"pictures from other sources, until that is measured{more}")
    found += [
        f"{entry.label} pictures from sources it was not trained on, such as {source}"
        for source, entry in evaluation.left_out.items()
        if entry.right.value <= LOWEST_USABLE_ACCURACY
    ]
    if evaluation.test:
        found += [
            f"{entry.label} pictures of {entry.name}"
            for entry in evaluation.test.sources
            if entry.source and entry.right.value <= LOWEST_USABLE_ACCURACY
        ]
        if changed := _weak_degradations(evaluation.test.robustness):
            found.append(f"pictures degraded as much as by {', '.join(changed)}")
    return found


def _is_chance(results: TestResults) -> bool:
    """Whether the interval of the balanced accuracy on the test pictures includes chance."""
    (caught, missed), (alarms, cleared) = results.confusion_matrix
    if not (caught + missed and alarms + cleared):
        return False
    return mean_interval((caught, caught + missed), (cleared, alarms + cleared))[0] <= 0.5


def summarise_model(
    settings: Settings,
    results: TestResults,
    predictions: pd.DataFrame,
    evaluation: Evaluation,
    trained_here: bool,
) -> Summary:
    """Summarise a model's most important figures and what they mean.

    Args:
        predictions: a row for each test picture, with the columns label and source.
        trained_here: a training.json describes how the checkpoint was trained.
    """
    plain = [
        *_describe_own_accuracy(results, predictions, settings.model, trained_here),
        *_describe_other_sources(settings, evaluation),
    ]
    if evaluation.test is None:
        plain.append(
            f"Its accuracy on degraded pictures is unknown; {settings.command('evaluate')} measures it."
        )
    one_sided = describe_one_sided(results.confusion_matrix)
    return Summary(
        tiles=tuple(_tiles(results, evaluation)),
        plain=" ".join(plain),
        one_sided=one_sided,
        unfit=["anything"] if one_sided or _is_chance(results) else _unfit_for(evaluation),
    )
