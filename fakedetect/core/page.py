"""The parts of HTML pages that need nothing else: no network, no other file."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from fakedetect.core.evaluation_record import Measure

STYLE = (Path(__file__).parents[1] / "templates/page.css").read_text(encoding="utf-8")

ENDING = re.compile(r"[\w-]{0,3}\.[A-Za-z][A-Za-z0-9]{0,5}(?![\w.])[:;,]?")
"""The end of a file's name, which no line break may cut."""


def to_html(text: str) -> str:
    """A text for the page: escaped, and the ends of file names kept in one line."""
    found, end = [], 0
    for match in ENDING.finditer(text):
        found += [escape(text[end : match.start()]), f'<span class="whole">{escape(match[0])}</span>']
        end = match.end()
    return "".join((*found, escape(text[end:])))


def percent(value: float | None) -> str:
    """A share as a percentage, '-' for none."""
    return "-" if value is None else f"{value:.1%}"


def with_interval(measure: Measure, form: str = ".3f") -> str:
    """A measure as its value and, in brackets, its interval."""
    return measure.describe(form)


def paragraph(text: str, kind: str = "") -> str:
    """Text as a paragraph; `kind` is '', 'soft' or 'warning'."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{to_html(text)}</p>"


def section(title: str, *parts: str) -> str:
    """A heading and what stands under it; nothing where there is nothing."""
    inside = "\n".join(part for part in parts if part)
    return f"<section><h2>{escape(title)}</h2>\n{inside}\n</section>" if inside else ""


def heading(title: str) -> str:
    """A smaller heading inside a section."""
    return f"<h3>{to_html(title)}</h3>"


def tiles(values: Mapping[str, tuple[str, str]]) -> str:
    """Large figures side by side: {what: (figure, remark)}."""
    inside = "".join(
        f'<div class="tile">{to_html(what)}<b>{escape(figure)}</b>'
        f'<span class="soft">{to_html(remark)}</span></div>'
        for what, (figure, remark) in values.items()
    )
    return f'<div class="tiles">{inside}</div>'


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers, and texts that begin with a digit, stand to the right. '' without rows."""
    if not rows:
        return ""

    def is_number(value: object) -> bool:
        return not isinstance(value, str) or value[:1].isdigit() or value in ("-", "")

    right = [all(is_number(row[column]) for row in rows) for column in range(len(headings))]

    def cells(tag: str, values: Sequence[object]) -> str:
        found = []
        for value, at_right in zip(values, right, strict=True):
            text = f"{value:,}" if isinstance(value, int) else str(value)
            kind = "number" if at_right else "wrap" if tag == "td" and len(text) > 40 else ""
            found.append(
                f"<{tag}{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{to_html(text)}</{tag}>"
            )
        return f"<tr>{''.join(found)}</tr>"

    body = "".join(cells("td", row) for row in rows)
    head = cells("th", headings)
    return f'<div class="table"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def charts(*drawn: str) -> str:
    """Charts side by side, as many as the page is wide."""
    return f'<div class="charts">{"".join(drawn)}</div>' if drawn else ""


def beside(told: str, drawn: str) -> str:
    """Tables and the charts of the same thing: side by side where the page is wide enough."""
    if not (told and drawn):
        return told or drawn
    return f'<div class="beside"><div>{told}</div><div class="drawn">{drawn}</div></div>'


def preformatted(text: str) -> str:
    """Text as it would stand in a terminal."""
    return f"<pre>{to_html(text)}</pre>"


def page_start(title: str, meta: str = "", style: str = "") -> str:
    """The page up to its body.

    Args:
        meta: more elements of its head, as HTML.
        style: more CSS.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{meta}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # A page without an icon makes a browser ask its server for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n"
    )


PAGE_END = "\n</body>\n</html>\n"


def page(title: str, *parts: str) -> str:
    """The whole page."""
    inside = "\n".join(part for part in parts if part)
    return f"{page_start(title)}{inside}{PAGE_END}"
