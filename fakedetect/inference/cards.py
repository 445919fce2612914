"""A checked picture as a card of the page: its thumbnail, verdict, stability, origin and reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from fakedetect.core.console import printable
from fakedetect.provenance.finding import Finding

UNREADABLE, UNJUDGED = "unreadable", "none"
"""What stands in for a verdict: the file cannot be read; there is no model."""

STATES = {
    "fake": "fake",
    "unsure": "unsure",
    "real": "real",
    UNREADABLE: "cannot be read",
    UNJUDGED: "no verdict",
}
"""The verdicts and what stands in for them, in words and in the order of the page."""

NO_ORIGIN, SOME_ORIGIN = "says nothing", "says something"
"""What stands in for the kinds of findings: there are none; they are known in words only."""


@dataclass(frozen=True)
class Card:
    """What a page shows of a picture.

    Attributes:
        row: of the CSV.
        origin: the findings about its origin.
        thumbnail: a WebP file; b'' for none.
        heat_maps: figures as WebP files.
    """

    row: Mapping[str, str]
    origin: tuple[Finding, ...] = ()
    thumbnail: bytes = b""
    heat_maps: tuple[bytes, ...] = ()

    @property
    def state(self) -> str:
        """A key of STATES."""
        return UNREADABLE if self.row.get("reason") else self.row.get("verdict") or UNJUDGED

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its findings, each once; NO_ORIGIN without any, none of a file that was not read."""
        if self.state == UNREADABLE:
            return ()
        if not self.origin and self.row.get("provenance"):
            return (SOME_ORIGIN,)
        return tuple(dict.fromkeys(finding.kind for finding in self.origin)) or (NO_ORIGIN,)

    @property
    def name(self) -> str:
        """The file's name, as it may be shown."""
        return printable(PurePath(self.row["path"]).name)

    @property
    def folder(self) -> str:
        """The folder that it lies in, as it may be shown."""
        return printable(PurePath(self.row["path"]).parent)

    @property
    def p_fake(self) -> float | None:
        """The calibrated probability; None for none."""
        return _share_of(self.row.get("p_fake_calibrated", ""))

    @property
    def remarks(self) -> Sequence[str]:
        """Why it has no verdict, what each model said, whether the answer is stable."""
        row = self.row
        lines = [printable(row["reason"])] if row.get("reason") else []
        columns = [name for name in row if name.startswith("p_fake_") and name != "p_fake_calibrated"]
        each = {name.removeprefix("p_fake_"): _share_of(row[name]) for name in columns}
        if said := [f"{printable(model)} {100 * p:.1f} %" for model, p in each.items() if p is not None]:
            lines.append("; ".join(said))
        if stability := row.get("stability"):
            lines.append("stable" if stability == "stable" else f"not stable: {printable(stability)}")
        if not self.origin and row.get("provenance"):
            lines.append(f"origin: {printable(row['provenance'])}")
        return lines

    @property
    def file(self) -> Sequence[str]:
        """The file's folder, format and size, and hash."""
        row = self.row
        lines = [self.folder, ", ".join(filter(None, (row.get("format"), row.get("size"))))]
        if sha256 := row.get("sha256"):
            lines.append(f"SHA-256 {sha256}")
        return [printable(line) for line in lines if line]


def _share_of(cell: str) -> float | None:
    """The probability in a cell, which a spreadsheet may have given a decimal comma; None for none."""
    try:
        share = float(cell.replace(",", "."))
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None
