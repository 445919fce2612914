"""How far to trust verdicts, in words: what was measured of their models, and how many would be right."""

from collections.abc import Collection, Sequence

from fakedetect.checking.known import Known, Rates, share_right
from fakedetect.metrics.calibration import FAKE, REAL


def describe_reminders(known: Known, advise: bool = False) -> list[str]:
    """What to keep in mind of a model's verdicts, before they are read.

    Args:
        advise: name the command that finds out more.
    """
    detector = known.detector
    lines = []
    held_out = known.evaluation.held_out_sources
    if held_out and held_out.is_by_source:
        area, recall = held_out.auc.value or 0.0, held_out.fake_recall_at_5.value or 0.0
        lines.append(
            f"Keep in mind: on held-out generators, {detector.name} has {recall:.0%} fake recall at a 5% "
            f"false-positive rate on real pictures of held-out sources (ROC AUC {area:.2f}; 0.5 is chance)."
        )
    for name, entry in known.evaluation.foreign.items():
        accuracy, auc = entry.measures.accuracy.value, entry.measures.roc_auc.value
        if accuracy is not None and auc is not None:
            lines.append(
                f"Keep in mind: on the pictures of {name}, {detector.name} had an accuracy of "
                f"{accuracy:.0%} (ROC AUC {auc:.2f}; 0.5 is chance)."
            )
    if not lines:
        lines.append(
            f"Keep in mind: {detector.name} was not tested on other sources; its error rate there may be "
            f"much higher.{f' Test it: {_command(known)}' if advise else ''}"
        )
    return lines


def explain_p_fake(known: Sequence[Known], weak: bool) -> str:
    """What the figures beside the verdicts are; of a model that is weak, what its question mark means."""
    fitted = all(each.detector.calibration.fitted for each in known)
    whose = f"{known[0].detector.name}'s" if len(known) == 1 else f"the mean of {len(known)} models'"
    return (
        f"p(fake) is {whose} {'' if fitted else 'uncalibrated '}probability that the picture is "
        "AI-generated: values near 0 % indicate real, near 100 % fake."
        + (" A question mark: the verdict is a hint only, see above." if weak else "")
    )


def describe_chances(known: Sequence[Known], prevalence: float, verdicts: Collection[str]) -> list[str]:
    """How many of 100 verdicts would be right, in a line; none where no verdict is fake or real.

    Args:
        verdicts: those that were given.
    """
    given = [verdict for verdict in (FAKE, REAL) if verdict in verdicts]
    if not given:
        return []
    if len(known) > 1:
        return ["How often the models' joint verdict is right was not measured (each alone: --details)."]
    rates = known[0].rates
    if rates is None:
        command = _command(known[0])
        return [
            f"How often {known[0].detector.name} is right on such pictures is unknown. Test it: {command}"
        ]
    shares = {verdict: share_right(rates, verdict, prevalence).value for verdict in given}
    told = [(verdict, share) for verdict, share in shares.items() if share is not None]
    if not told:
        return [f"How often '{given[0]}' is right is unknown: it was never said when it was measured."]
    verdict, share = told[0]
    line = (
        f"Of 100 '{verdict}' verdicts on such pictures {_in_hundred(share)} are right if "
        f"{100 * prevalence:g} in 100 are fakes"
    )
    return [line + "".join(f"; of 100 '{other}', {_in_hundred(share)}" for other, share in told[1:])]


def _in_hundred(share: float) -> str:
    """'about 38'; 0 and 100 only where it is exactly that."""
    if share in (0, 1):
        return f"{100 * share:.0f}"
    return (
        "fewer than 1" if share < 0.005 else "more than 99" if share > 0.995 else f"about {100 * share:.0f}"
    )


def _command(known: Known) -> str:
    """The command that measures it on other pictures."""
    return known.detector.settings.command("evaluate", "--data", "FOLDER")


def describe_base_rates(known: Sequence[Known], prevalence: float, advise: bool = False) -> list[str]:
    """How many of the verdicts would be right where so few pictures are AI-generated, a line a model.

    Args:
        advise: name the option and the command that change the answer.
    """
    lines = [_describe_base_rate(each, prevalence, advise) for each in known]
    if len(known) > 1:
        lines.insert(0, "The accuracy of their joint verdict was not measured; for each model alone:")
    return lines


def _describe_base_rate(known: Known, prevalence: float, advise: bool) -> str:
    name, rates = known.detector.name, known.rates
    if rates is None:
        return (
            f"The share of correct {name} verdicts among pictures like these is unknown: its current "
            f"thresholds were not measured.{f' Measure them: {_command(known)}' if advise else ''}"
        )
    caught, alarms = rates.fake_called_fake.value or 0.0, rates.real_called_fake.value or 0.0
    option = " (--prevalence)" if advise else ""
    return (
        f"If {100 * prevalence:g} % of such pictures were AI-generated{option}, "
        f"{_describe_right(rates, FAKE, prevalence)}; {_describe_right(rates, REAL, prevalence)}. "
        f"This follows from {name}'s verdicts on {rates.of}: it called {_percent(caught)} of "
        f"{rates.fakes:,} fakes fake, and {_percent(alarms)} of {rates.reals:,} real pictures."
    )


def _describe_right(rates: Rates, verdict: str, prevalence: float) -> str:
    """'about 49 % of the 'fake' verdicts would be correct (95 % interval 30 % to 70 %)'."""
    found = share_right(rates, verdict, prevalence)
    if found.value is None or found.low is None or found.high is None:
        return f"the share of correct '{verdict}' verdicts is unknown: it called no picture {verdict}"
    of = f"of the '{verdict}' verdicts" + (" would be correct" if verdict == FAKE else "")
    interval = f"95 % interval {_percent(found.low)} to {_percent(found.high)}"
    return f"about {_percent(found.value)} {of} ({interval})"


def _percent(share: float) -> str:
    """'49 %', '3.1 %'; 0 and 100 only where it is exactly that."""
    percent = 100 * share
    digits = 0 if 10 <= percent <= 90 else 1
    shown = percent if percent in (0, 100) else min(99.9, max(0.1, round(percent, digits)))
    return f"{shown:g} %"
