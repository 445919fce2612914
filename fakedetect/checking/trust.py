"""Texts on how far to trust verdicts: the models' measurements, and how many verdicts would be right."""

from collections.abc import Collection, Sequence

from fakedetect.checking.error_rates import ErrorRates, ModelMeasurements, compute_predictive_value
from fakedetect.core.terminal.progress import percent
from fakedetect.metrics.calibration import FAKE, REAL


def describe_limits(model: ModelMeasurements, advise: bool = False) -> list[str]:
    """Describe a model's measured accuracy on other sources, as a caution before its verdicts.

    Args:
        advise: name the command that measures it.
    """
    detector = model.detector
    lines = []
    held_out = next(iter(model.evaluation.held_out), None)
    if held_out and held_out.is_by_source:
        area, recall = held_out.auc.value or 0.0, held_out.fake_recall_at_5.value or 0.0
        whole = f", with {held_out.condition}" if held_out.by_collection else ""
        lines.append(
            f"Keep in mind: on held-out generators{whole}, {detector.name} finds {percent(recall, 0)} of "
            "the fakes when 5 % of the real pictures of held-out sources are called fake (ROC AUC "
            f"{area:.2f}; 0.5 is chance)."
        )
    for name, entry in model.evaluation.foreign.items():
        accuracy, auc = entry.measures.accuracy.value, entry.measures.roc_auc.value
        if accuracy is not None and auc is not None:
            lines.append(
                f"Keep in mind: on the pictures of {name}, {detector.name} had an accuracy of "
                f"{percent(accuracy, 0)} (ROC AUC {auc:.2f}; 0.5 is chance)."
            )
    if not lines:
        lines.append(
            f"Keep in mind: {detector.name} was not tested on other sources; its error rate there may be "
            f"much higher.{f' Test it: {_evaluate_command(model)}' if advise else ''}"
        )
    return lines


def explain_p_fake(models: Sequence[ModelMeasurements], weak: bool) -> str:
    """Explain p(fake) and, for weak models, the question mark."""
    fitted = all(each.detector.calibration.fitted for each in models)
    whose = f"{models[0].detector.name}'s" if len(models) == 1 else f"the mean of {len(models)} models'"
    return (
        f"p(fake) is {whose} {'' if fitted else 'uncalibrated '}probability that the picture is "
        "AI-generated: values near 0 % indicate real, near 100 % fake."
        + (" A question mark: the verdict is a hint only, see above." if weak else "")
    )


def describe_chances(
    models: Sequence[ModelMeasurements], prevalence: float, verdicts: Collection[str]
) -> list[str]:
    """Return a line on how many of 100 verdicts would be right; [] if no verdict is fake or real.

    Args:
        verdicts: the verdicts that were given.
    """
    given = [verdict for verdict in (FAKE, REAL) if verdict in verdicts]
    if not given:
        return []
    if len(models) > 1:
        return [
            "How often the models' joint verdict is right was not measured. For each model alone: --details"
        ]
    rates = models[0].rates
    if rates is None:
        command = _evaluate_command(models[0])
        return [
            f"How often {models[0].detector.name} is right on such pictures is unknown. Test it: {command}"
        ]
    shares = {verdict: compute_predictive_value(rates, verdict, prevalence).value for verdict in given}
    known = [(verdict, share) for verdict, share in shares.items() if share is not None]
    if not known:
        return [f"How often '{given[0]}' is right is unknown: no measured picture got this verdict."]
    verdict, share = known[0]
    line = (
        f"Of 100 '{verdict}' verdicts on such pictures {_format_per_hundred(share)} are right if "
        f"{100 * prevalence:g} in 100 are fakes"
    )
    return [
        line + "".join(f"; of 100 '{other}', {_format_per_hundred(share)}" for other, share in known[1:])
    ]


def _format_per_hundred(share: float) -> str:
    """Format as 'about 38'; '0' and '100' only if exact."""
    if share in (0, 1):
        return f"{100 * share:.0f}"
    return (
        "fewer than 1" if share < 0.005 else "more than 99" if share > 0.995 else f"about {100 * share:.0f}"
    )


def _evaluate_command(model: ModelMeasurements) -> str:
    """Return the command that measures the model on other pictures."""
    return model.detector.settings.command("evaluate", "--data", "FOLDER")


def describe_base_rates(
    models: Sequence[ModelMeasurements], prevalence: float, advise: bool = False
) -> list[str]:
    """Describe how many verdicts would be right at a prevalence of AI-generated pictures, a line a model.

    Args:
        prevalence: the share of pictures that are AI-generated.
        advise: name the option and the command that change the figures.
    """
    lines = [_describe_base_rate(each, prevalence, advise) for each in models]
    if len(models) > 1:
        lines.insert(0, "The accuracy of their joint verdict was not measured; for each model alone:")
    return lines


def _describe_base_rate(model: ModelMeasurements, prevalence: float, advise: bool) -> str:
    name, rates = model.detector.name, model.rates
    if rates is None:
        return (
            f"The share of correct {name} verdicts among pictures like these is unknown: its current "
            f"thresholds were not measured.{f' Measure them: {_evaluate_command(model)}' if advise else ''}"
        )
    caught, alarms = rates.fake_called_fake.value or 0.0, rates.real_called_fake.value or 0.0
    option = " (--prevalence)" if advise else ""
    return (
        f"If {100 * prevalence:g} % of such pictures were AI-generated{option}, "
        f"{_describe_right(rates, FAKE, prevalence)}; {_describe_right(rates, REAL, prevalence)}. "
        f"This follows from {name}'s verdicts on {rates.dataset}: it called {_format_percent(caught)} of "
        f"{rates.fakes:,} fakes fake, and {_format_percent(alarms)} of {rates.reals:,} real pictures."
    )


def _describe_right(rates: ErrorRates, verdict: str, prevalence: float) -> str:
    """Return 'about 49 % of the 'fake' verdicts would be correct (95 % interval 30 % to 70 %)'."""
    found = compute_predictive_value(rates, verdict, prevalence)
    if found.value is None or found.low is None or found.high is None:
        return f"the share of correct '{verdict}' verdicts is unknown: it called no picture {verdict}"
    of = f"of the '{verdict}' verdicts" + (" would be correct" if verdict == FAKE else "")
    interval = f"95 % interval {_format_percent(found.low)} to {_format_percent(found.high)}"
    return f"about {_format_percent(found.value)} {of} ({interval})"


def _format_percent(share: float) -> str:
    """Format as '49 %' or '3.1 %'; '0 %' and '100 %' only if exact."""
    points = 100 * share
    digits = 0 if 10 <= points <= 90 else 1
    shown = points if points in (0, 100) else min(99.9, max(0.1, round(points, digits)))
    return f"{shown:g} %"
