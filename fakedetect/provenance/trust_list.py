"""The lists of the C2PA conformance programme: whose certificates may sign, and whose may date a signature.

They lie in the folder `trust` as NAME-YEAR-MONTH-DAY.pem; the newest of a name counts.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

TRUST_FOLDER = Path(__file__).with_name("trust")

OLD_DAYS = 365
"""An older list is told to be old: certificates come and go."""


@dataclass(frozen=True)
class TrustList:
    """Certificates (PEM) and the day from which they are."""

    day: date
    certificates: str

    def __str__(self) -> str:
        """The list's name in a sentence."""
        age = (date.today() - self.day).days
        return f"C2PA trust list of {self.day}" + (f", {age} days old" if age > OLD_DAYS else "")


def _day_of(path: Path) -> date | None:
    dated = re.fullmatch(r"[a-z-]+-(\d{4})-(\d\d)-(\d\d)\.pem", path.name)
    try:
        return date(*map(int, dated.groups())) if dated else None
    except ValueError:
        return None


def find_list(name: str, folder: Path = TRUST_FOLDER) -> TrustList | None:
    """The newest list of a name ('signers' or 'time-stamps'); None where there is none."""
    days = {path: day for path in folder.glob(f"{name}-*.pem") if (day := _day_of(path))}
    if not days:
        return None
    newest = max(days, key=lambda path: days[path])
    return TrustList(days[newest], newest.read_text(encoding="utf-8"))
