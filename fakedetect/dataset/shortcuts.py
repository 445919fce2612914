"""What an audit of a data set has found: whether the classes can be told apart without the pictures."""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.evaluation import format_range
from fakedetect.core.records.record import Count, Record, Share, read_record, write_record
from fakedetect.core.settings.settings import Settings

FILE_NAME = "audit.json"
LEAST = 20
"""Pictures of each class that an audit needs."""

SUSPICIOUS = 0.6
"""An audit whose ROC AUC surely exceeds this is a warning."""

SIZES = ("shape", "width", "height", "aspect_ratio", "megapixels")


class Feature(Record, frozen=True, kw_only=True):
    """Something around the pictures, and the share of each class (0 to 1) that it holds for."""

    name: str
    fake: Share
    real: Share
    says: str


class Audit(Record, frozen=True, kw_only=True):
    """ROC AUC with its 95 % interval (None for too few pictures), strongest features first.

    `on` is 'original' or 'resized'.
    """

    on: Annotated[str, msgspec.Meta(pattern=r"^(original|resized)\Z")]
    auc: Share | None
    auc_low: Share | None
    auc_high: Share | None
    count: Count
    features: tuple[Feature, ...]


def read_audit(folder: Path, settings: Settings) -> Audit | None:
    """The audit in explore/original or explore/resized; None where there is none.

    Raises:
        UserError: the file does not fit.
    """
    again = settings.command("explore", "--on", folder.name)
    return read_record(folder / FILE_NAME, Audit, f"Explore again: {again}")


def write_audit(folder: Path, audit: Audit) -> None:
    """Write an audit into a folder of explore's."""
    write_record(folder / FILE_NAME, audit)


def describe_audit(audit: Audit, settings: Settings) -> tuple[str, bool]:
    """The audit in plain words, and whether it is a warning."""
    if audit.auc is None or audit.auc_low is None or audit.auc_high is None:
        return f"Shortcut audit: too few pictures (it needs {LEAST} of each class).", False
    lines = [
        f"Shortcut audit: without looking at the pictures, the classes can be told apart with ROC AUC "
        f"{audit.auc:.3f} (95 % interval {format_range(audit.auc_low, audit.auc_high)}; 0.5 is chance)"
    ]
    lines += [f"  {feature.says}" for feature in audit.features[:5]]
    if audit.auc_low <= SUSPICIOUS:
        lines.append("  Fine: these properties of the files reveal little about the class.")
        return "\n".join(lines), False
    strong = {f.name for f in audit.features if abs(f.fake - f.real) > 0.2}
    lines.append(
        "  Warning: a model can learn this instead of the content; its accuracy here would then say "
        "little about other pictures."
    )
    if audit.on == "original" and strong - set(SIZES):
        lines.append(
            f"  What to do: {settings.command('resize', '--align')} writes every copy in one format, "
            "quality and encoder; then look again: " + settings.command("explore", "--on", "resized")
        )
    elif audit.on == "resized":
        lines.append(
            f"  What to do: {settings.command('resize', '--align')}, if not done yet; what remains after "
            "that is in the pixels: collect pictures with matching properties."
        )
    if strong & set(SIZES):
        lines.append(
            "  Sizes and shapes: scaling to a square leaves traces of them (squeezing, sharpness); "
            "collect both classes in similar sizes and shapes."
        )
    return "\n".join(lines), True
