"""The top of a report: the figures that matter most, and in plain words what the model is good for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from fakedetect.core.records.evaluation import Evaluation, ForeignEntry, Robustness, say_range
from fakedetect.core.records.test import TestResults
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import printable
from fakedetect.metrics.intervals import mean_interval, roc_auc_interval, share_interval
from fakedetect.testing.results import WORTH_A_WARNING, auc_of, explain_doubt, tell_one_sided

WEAK = 0.6
"""Accuracy on one source's pictures, or balanced accuracy, up to which the model is not to be used for such
pictures."""

NAMED = 4
"""Sources of a class that the summary names."""

INTERVAL = "95 % interval"


@dataclass(frozen=True)
class Tile:
    """A large figure: what it is, and a remark on it."""

    what: str
    figure: str
    remark: str


@dataclass(frozen=True)
class Summary:
    """Tiles, what the model can do in plain words, a warning where it has one answer for all pictures, and
    what it must not be used for."""

    tiles: Sequence[Tile]
    plain: str
    one_sided: Sequence[str]
    unfit: Sequence[str]


def _share_tile(what: str, hits: int, count: int, of: str) -> Tile:
    low, high = share_interval(hits, count)
    interval = f"{INTERVAL} {say_range(low, high, '.1%')}"
    return Tile(what, f"{hits / count:.1%}", f"{hits:,} of {count:,} {of}; {interval}")


def _tiles(results: TestResults, evaluation: Evaluation) -> Iterator[Tile]:
    """Accuracy, ROC AUC and both kinds of mistakes, each with its interval; then foreign pictures."""
    (caught, missed), (alarms, cleared) = results.confusion_matrix
    fakes, reals = caught + missed, alarms + cleared
    yield _share_tile("Accuracy", caught + cleared, fakes + reals, "test pictures")
    if results.roc_auc is not None and fakes and reals:
        low, high = roc_auc_interval(results.roc_auc, fakes, reals)
        remark = f"on the test dataset, 0.5 is chance; {INTERVAL} {say_range(low, high)}"
        yield Tile("ROC AUC", f"{results.roc_auc:.3f}", remark)
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
                remark = f"pictures from other sources; {INTERVAL} {say_range(found.low, found.high, form)}"
                yield Tile(f"{what} on {name}", f"{found.value:{form}}", remark)


def _name_sources(predictions: pd.DataFrame) -> str:
    """'fake: gan, diffusion; real: camera', as far as the pictures have sources."""
    said = []
    for label in CLASSES:
        of_class = predictions.loc[predictions["label"] == label, "source"]
        names = [printable(source) for source in of_class.value_counts().index if source]
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            said.append(f"{label}: {', '.join(names[:NAMED])}{more}")
    return "; ".join(said)


def _is_weak(entry: ForeignEntry, own: float | None) -> bool:
    """Whether a model is no clear help on foreign pictures, or clearly worse than on its own."""
    low, auc = entry.measures.balanced_accuracy.low, auc_of(entry)
    chance = low is None or low <= 0.5
    return chance or (own is not None and auc is not None and auc < own - WORTH_A_WARNING)


def _shows_much(entry: ForeignEntry, own: float | None) -> bool:
    """Whether the figures on foreign pictures are those of pictures from elsewhere, and of enough."""
    return not entry.own and (own is None or not explain_doubt(own, entry.measures.roc_auc))


def _judge(entry: ForeignEntry, own: float | None) -> str:
    """What figures on foreign pictures show, as the end of a sentence; '' where the model's own are
    missing."""
    low = entry.measures.balanced_accuracy.low
    if low is None or low <= 0.5:
        return ", not clearly better than chance"
    if _is_weak(entry, own):
        return ": it does not generalise to them"
    if own is None:
        return ""
    doubt = explain_doubt(own, entry.measures.roc_auc, entry.own)
    return f"; {doubt}" if doubt else ": it generalises to them"


def _tell_own(results: TestResults, predictions: pd.DataFrame, model: str, trained_here: bool) -> list[str]:
    low, high = share_interval(round(results.accuracy * results.count), results.count)
    sources = _name_sources(predictions)
    like = "On pictures like its training pictures" if trained_here else "On the test dataset"
    lines = [
        f"{like}{f' ({sources})' if sources else ''}, {model} has an accuracy of {results.accuracy:.1%} "
        f"({say_range(low, high, '.1%')})."
    ]
    if not trained_here:
        lines.append(
            "How this checkpoint was trained is unknown (no training.json); the test pictures may have "
            "been used to train it."
        )
    return lines


def _describe_held_out(evaluation: Evaluation) -> list[str]:
    """A probe's figures on the sources that were left out of it, in a sentence."""
    found = evaluation.held_out_sources
    if found is None or not found.of_sources:
        return []
    recall = found.fake_recall_at_5.describe(".1%")
    return [
        f"On held-out generators, its fake recall is {recall} at a 5 % false-positive rate on real "
        f"pictures of held-out sources; ROC AUC {found.auc}."
    ]


def _tell_others(settings: Settings, evaluation: Evaluation) -> list[str]:
    """How the model does on pictures that are unlike the training ones."""
    own = auc_of(evaluation.test)
    lines = _describe_held_out(evaluation)
    for name, entry in evaluation.foreign.items():
        right, auc = entry.measures.accuracy, auc_of(entry)
        compared = f"; ROC AUC {auc:.3f} against {own:.3f}" if auc is not None and own is not None else ""
        lines.append(
            f"On pictures from other sources ({name}), it has an accuracy of {right.value or 0:.1%} "
            f"({say_range(right.low or 0, right.high or 0, '.1%')}{compared}){_judge(entry, own)}."
        )
    lines += [
        f"Trained without {source}, it has an accuracy of {left.right.value:.1%} on that source's "
        f"{left.label} pictures."
        for source, left in evaluation.left_out.items()
    ]
    if not lines:
        command = settings.command("evaluate", "--data", "FOLDER")
        lines.append(f"Its accuracy on other sources is unknown; {command} measures it.")
    return lines


def _weak_degradations(found: Robustness) -> list[str]:
    """The lightest degradation of each kind that costs too much of the ROC AUC, or after which the answers
    are next to chance: a model may rank pictures well and call all of them the same."""
    least = found.clean.roc_auc - WORTH_A_WARNING
    first: dict[str, str] = {}
    for point in found.points:
        if point.roc_auc < least or (point.recall_fake + point.recall_real) / 2 <= WEAK:
            first.setdefault(point.kind, point.says)
    return list(first.values())


def _unfit_for(evaluation: Evaluation) -> list[str]:
    """The pictures that the model is not to be used for, by what was measured."""
    own = auc_of(evaluation.test)
    found = []
    weak = [name for name, entry in evaluation.foreign.items() if _is_weak(entry, own)]
    shown = _describe_held_out(evaluation) or any(_shows_much(e, own) for e in evaluation.foreign.values())
    if weak:
        found.append(f"pictures from other sources, such as {', '.join(weak)}")
    elif not shown:
        more = " on more of them" if evaluation.foreign else ""
        found.append(f"pictures from other sources, until that is measured{more}")
    found += [
        f"{entry.label} pictures from sources it was not trained on, such as {source}"
        for source, entry in evaluation.left_out.items()
        if entry.right.value <= WEAK
    ]
    if evaluation.test:
        found += [
            f"{entry.label} pictures of {entry.name}"
            for entry in evaluation.test.sources
            if entry.source and entry.right.value <= WEAK
        ]
        if changed := _weak_degradations(evaluation.test.robustness):
            found.append(f"pictures degraded as much as by {', '.join(changed)}")
    return found


def _is_chance(results: TestResults) -> bool:
    """Whether the answers to the test pictures are no clear help: the interval of the balanced accuracy."""
    (caught, missed), (alarms, cleared) = results.confusion_matrix
    if not (caught + missed and alarms + cleared):
        return False
    return mean_interval((caught, caught + missed), (cleared, alarms + cleared))[0] <= 0.5


def summarise(
    settings: Settings,
    results: TestResults,
    predictions: pd.DataFrame,
    evaluation: Evaluation,
    trained_here: bool,
) -> Summary:
    """The figures that matter most, and what they mean.

    Args:
        predictions: a row a test picture, with the columns label and source.
        trained_here: its training.json says how the checkpoint was trained.
    """
    plain = [
        *_tell_own(results, predictions, settings.model, trained_here),
        *_tell_others(settings, evaluation),
    ]
    if evaluation.test is None:
        plain.append(
            f"Its accuracy on degraded pictures is unknown; {settings.command('evaluate')} measures it."
        )
    one_sided = tell_one_sided(results.confusion_matrix)
    return Summary(
        tiles=tuple(_tiles(results, evaluation)),
        plain=" ".join(plain),
        one_sided=one_sided,
        unfit=["anything"] if one_sided or _is_chance(results) else _unfit_for(evaluation),
    )
