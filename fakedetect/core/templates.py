"""Pages rendered from the templates of the package; HTML values are escaped."""

import base64
import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fakedetect.core.files import atomic_write
from fakedetect.core.records.evaluation import Measure, Point, format_interval
from fakedetect.core.terminal.console import printable
from fakedetect.core.terminal.progress import format_figure

if TYPE_CHECKING:
    from jinja2 import Environment, Template

FILE_ENDING = re.compile(r"([\w-]{0,3}\.[A-Za-z][A-Za-z0-9]{0,5}(?![\w.])[:;,]?)")
"""The end of a file name, where no line may break."""


def _form(value: float | str | None, form: str, unknown: str = "-") -> str:
    """Format a figure; a str is returned unchanged."""
    return unknown if value is None else value if isinstance(value, str) else format_figure(value, form)


def _split_endings(value: object) -> list[str]:
    """Split a text so that every second part is the end of a file name."""
    return FILE_ENDING.split(str(value))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _markdown(name: str) -> str:
    """Escape a name for Markdown."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()<>#+-.!|" else c for c in printable(name))


def _auc_interval(point: Point) -> str:
    return format_interval(point.roc_auc, point.low, point.high)


@cache
def _environment() -> "Environment":
    # Imported late: most processes that import this module render no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    found = Environment(
        autoescape=select_autoescape(default=True, disabled_extensions=("md",)),
        loader=PackageLoader("fakedetect"),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        auc_interval=_auc_interval,
        base64=_base64,
        form=_form,
        interval=Measure.describe,
        markdown=_markdown,
        printable=printable,
        split_endings=_split_endings,
    )
    return found


def load_template(name: str) -> "Template":
    """Return a template by its file name in the folder `templates`."""
    return _environment().get_template(name)


def write_page(file: Path, name: str, script: str, **values: object) -> None:
    """Write a page with a script atomically.

    Args:
        name: the page's template. It gets the hash of the script, the only one that the page may run.
        script: the script's template.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    digest = hashlib.sha256(load_template(script).render().encode("utf-8")).digest()
    with atomic_write(file) as page:
        for part in load_template(name).generate(script_sha256=digest, **values):
            page.write(part.encode("utf-8", "replace"))


def link_from(page: Path, path: Path) -> str:
    """Return the URL of a file relative to a page; '' if it would reveal the user's home."""
    path, folder = path.absolute(), page.parent.absolute()
    home = _find_home()
    if home and path.is_relative_to(home) and not folder.is_relative_to(home):
        return ""
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        # On another drive of Windows.
        return ""
    # A leading dot keeps a name such as "a:b.jpg" from being read as a URL scheme.
    return quote(os.fsencode(relative if relative.startswith("../") else f"./{relative}"))


def without_home(text: str) -> str:
    """Replace the user's home by ~ in a text, because pages are shared."""
    home = _find_home()
    return re.sub(rf"{re.escape(str(home))}(?=[/\\,;:\s]|\Z)", "~", text) if home else text


def _find_home() -> Path | None:
    """Return the user's home; None if it is unknown or the root folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if len(home.parts) > 1 else None
