"""The page of a check: cards on their way into it, one after the other, and the page around them."""

import base64
import hashlib
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import BinaryIO

from fakedetect.core.console import Console, open_picture, printable
from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write
from fakedetect.core.page import PAGE_END, page_start, tiles
from fakedetect.inference.cards import NO_ORIGIN, STATES, Card, draw_card
from fakedetect.inference.reading_guide import TITLE, reading_guide
from fakedetect.inference.request import PAGE_MARK

HERE = Path(__file__).resolve().parents[1] / "templates"
ORDERS = {
    "folder": "folder and name",
    "verdict": "verdict: fake first",
    "falling": "p(fake): highest first",
    "rising": "p(fake): lowest first",
    "origin": "origin: pictures with one first",
}


@dataclass(frozen=True, order=True)
class _Place:
    """Where a card lies among the others and in the file beside."""

    folder: str
    name: str
    start: int
    length: int


class CheckPage:
    """Cards wait in a file without a name beside the page's own, so that memory holds none of them.

    Args:
        file: the page.
        hints: verdicts are hints only.
    """

    def __init__(self, file: Path, hints: bool = False):
        self.file, self.hints = file, hints
        self.places: list[_Place] = []
        self.folders: dict[str, int] = {}
        self.states: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.of_folder: Counter[str] = Counter()
        self.beside = _open_beside(file)

    def add(self, card: Card) -> None:
        """A picture more.

        Raises:
            UserError: the disk is full.
        """
        folder = self.folders.setdefault(card.folder, len(self.folders))
        text = draw_card(card, folder, self.hints).encode("utf-8", "replace")
        self.places.append(
            _Place(folder=card.folder, name=card.name, start=self.beside.tell(), length=len(text))
        )
        self.states[card.state] += 1
        self.of_folder[card.folder] += 1
        self.kinds.update(card.kinds)
        try:
            self.beside.write(text)
        except OSError as error:
            raise _cannot_write(self.file, error) from None

    def write(self, title: str, *head: str) -> None:
        """Put the page into its place, whole or not at all.

        Args:
            title: what was checked, in a line.
            head: what stands above the pictures, as HTML.

        Raises:
            UserError: the folder cannot be written to, or the disk is full.
        """
        guide = reading_guide()
        script = (HERE / "check.js").read_text(encoding="utf-8")
        start = page_start(f"{title} - fakedetect", _meta(script), (HERE / "check.css").read_text("utf-8"))
        link = f'<p><a href="#reading">{TITLE}, and what to do next</a></p>' if guide else ""
        above = [start, f"<h1>{escape(title)}</h1>", self._tiles(), link, *head]
        above += [f'<section><h2 id="pictures">Pictures</h2>{self._controls()}<ol id="cards">\n']
        below = f"</ol></section>\n{guide}\n<script>{script}</script>{PAGE_END}"
        with atomic_write(self.file) as page:
            page.write("\n".join(above).encode("utf-8", "replace"))
            for place in sorted(self.places):
                self.beside.seek(place.start)
                page.write(self.beside.read(place.length))
            page.write(below.encode("utf-8"))

    def close(self) -> None:
        """Let the cards go."""
        self.beside.close()

    def _tiles(self) -> str:
        counts = {said: self.states[state] for state, said in STATES.items() if self.states[state]}
        return tiles({said: (f"{count:,}", "") for said, count in counts.items()})

    def _controls(self) -> str:
        """The filters and the order, which the script shows: without it they would do nothing."""
        verdicts = "".join(
            f'<label><input type="checkbox" name="verdict" value="{state}" checked> {said} '
            f"({self.states[state]:,})</label>"
            for state, said in STATES.items()
            if self.states[state]
        )
        kinds = sorted(self.kinds.items(), key=lambda item: (item[0] == NO_ORIGIN, -item[1]))
        origins = {kind.replace(" ", "-"): f"{kind} ({count:,})" for kind, count in kinds}
        folders = {
            str(self.folders[name]): f"{name} ({count:,})" for name, count in sorted(self.of_folder.items())
        }
        return (
            '<form id="controls" hidden aria-label="Filter and order">'
            f"<fieldset><legend>Verdict</legend>{verdicts}</fieldset>"
            f"{_select('origin', 'Origin', {'': 'all', **origins})}"
            f"{_select('folder', 'Folder', {'': 'all', **folders})}"
            '<label>Name contains <input type="search" name="name" autocomplete="off"></label>'
            f"{_select('order', 'Order', ORDERS)}"
            '<button type="reset">Show all</button>'
            '<p id="shown" role="status"></p></form>'
        )


def today() -> str:
    """The date, as pages bear it."""
    return datetime.now(UTC).date().isoformat()


def tell_page(file: Path, console: Console) -> str:
    """Where the page is; on a desktop a user who waits sees it at once."""
    opened = console.interactive and not console.quiet and open_picture(file)
    return f"Page: {printable(file)}{'' if opened else ' (open it with a browser)'}"


def _select(name: str, label: str, options: dict[str, str]) -> str:
    inside = "".join(
        f'<option value="{escape(value)}">{escape(said)}</option>' for value, said in options.items()
    )
    return f'<label>{label} <select name="{name}">{inside}</select></label>'


def _meta(script: str) -> str:
    """That the page is ours, and that it loads nothing and runs nothing but its own script."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f'{PAGE_MARK}\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n'


def _open_beside(file: Path) -> BinaryIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=file.parent)
    except OSError as error:
        raise _cannot_write(file, error) from None


def _cannot_write(file: Path, error: OSError) -> UserError:
    return UserError(f"Cannot write {file}: {error.strerror}. Check the disk and the permissions.")
