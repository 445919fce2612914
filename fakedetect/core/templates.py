"""Pages from the templates of the package, in which every value is escaped."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from fakedetect.core.evaluation_record import Measure, Point, say_interval

ENDING = re.compile(r"([\w-]{0,3}\.[A-Za-z][A-Za-z0-9]{0,5}(?![\w.])[:;,]?)")
"""The end of a file's name, which no line break may cut."""


def _form(value: float | str | None, form: str, unknown: str = "-") -> str:
    """A figure in a format. What is a text already stays."""
    return unknown if value is None else value if isinstance(value, str) else format(value, form)


def _split_endings(value: object) -> list[str]:
    """A text in parts: every second one is the end of a file's name."""
    return ENDING.split(str(value))


def _auc_interval(point: Point) -> str:
    return say_interval(point.roc_auc, point.low, point.high)


@cache
def _environment() -> Environment:
    found = Environment(
        autoescape=select_autoescape(default=True, disabled_extensions=("md",)),
        loader=PackageLoader("fakedetect"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        form=_form, interval=Measure.describe, auc_interval=_auc_interval, split_endings=_split_endings
    )
    return found


def load_template(name: str) -> Template:
    """A template by its name in the folder `templates`."""
    return _environment().get_template(name)
