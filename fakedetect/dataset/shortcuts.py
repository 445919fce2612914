"""The result of a shortcut audit: can file properties separate the classes without the pictures?"""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.evaluation import format_range
from fakedetect.core.records.record import Count, Record, Share, read_record, write_record
from fakedetect.core.settings.settings import Settings

AUDIT_FILE = "audit.json"
LEAST_AUDIT_PICTURES = 20
"""The number of pictures of each class that an audit needs."""

SUSPICIOUS_AUC = 0.6
"""Warn if the lower bound of the ROC AUC exceeds this."""

SIZE_FEATURES = ("shape", "width", "height", "aspect_ratio", "megapixels")


class AuditFeature(Record, frozen=True, kw_only=True):
    """A property of files, and the share of each class (0 to 1) that has it."""

    name: str
    fake: Share
    real: Share
    description: str = msgspec.field(name="says")


class Audit(Record, frozen=True, kw_only=True):
    """ROC AUC with its 95 % interval (None for too few pictures), and the features, strongest first.

    `on` is 'original' or 'resized'.
    """

    on: Annotated[str, msgspec.Meta(pattern=r"^(original|resized)\Z")]
    auc: Share | None
    auc_low: Share | None
    auc_high: Share | None
    count: Count
    features: tuple[AuditFeature, ...]


def read_audit(folder: Path, settings: Settings) -> Audit | None:
    """Read the audit in explore/original or explore/resized; return None if there is none.

    Raises:
        UserError: the file is damaged.
    """
    again = settings.command("explore", "--on", folder.name)
    return read_record(folder / AUDIT_FILE, Audit, f"Explore again: {again}")


def write_audit(folder: Path, audit: Audit) -> None:
    """Write an audit into explore/original or explore/resized."""
    write_record(folder / AUDIT_FILE, audit)


def describe_audit(audit: Audit, settings: Settings) -> tuple[str, bool]:
    """Describe an audit, and return whether it is a warning."""
    if audit.auc is None or audit.auc_low is None or audit.auc_high is None:
        return f"Shortcut audit: too few pictures (it needs {LEAST_AUDIT_PICTURES} of each class).", False
    lines = [
        f"Shortcut audit: without looking at the pictures, the classes can be separated with ROC AUC "
        f"{audit.auc:.3f} (95 % interval {format_range(audit.auc_low, audit.auc_high)}; 0.5 is chance)"
    ]
    lines += [f"  {feature.description}" for feature in audit.features[:5]]
    if audit.auc_low <= SUSPICIOUS_AUC:
        lines.append("  Fine: these properties of the files reveal little about the class.")
        return "\n".join(lines), False
    strong = {f.name for f in audit.features if abs(f.fake - f.real) > 0.2}
    lines.append(
        "  Warning: a model can learn this instead of the content; its accuracy here would then "
        "mean little for other pictures."
    )
    if audit.on == "original" and strong - set(SIZE_FEATURES):
        lines.append(
            f"  What to do: {settings.command('resize', '--align')} writes every copy in one format, "
            "quality and encoder; then look again: " + settings.command("explore", "--on", "resized")
        )
    elif audit.on == "resized":
        lines.append(
            f"  What to do: {settings.command('resize', '--align')}, if not done yet; what remains after "
            "that is in the pixels: collect pictures with matching properties."
        )
    if strong & set(SIZE_FEATURES):
        lines.append(
            "  Sizes and shapes: scaling to a square leaves traces of them (squeezing, sharpness); "
            "collect both classes in similar sizes and shapes."
        )
    return "\n".join(lines), True
