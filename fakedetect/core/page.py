"""The parts of HTML pages that need nothing else: no network, no other file."""

import re
from collections.abc import Mapping, Sequence
from html import escape

from fakedetect.core.evaluation_record import Measure

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2024; --soft: #59636e; --line: #d5dae0;
  --card: #f6f8fa; --warn: #9a4b00; --warn-paper: #fff4e5;
  --fake: #c62828; --real: #0a6cbd; --grey: #6e7781;
  --c0: #7b3fbf; --c1: #c15c00; --c2: #1a7f37; --c3: #b0308a; --c4: #7a7a00; --c5: #00808f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e6e9ed; --soft: #9aa4af;
  --line: #343b43; --card: #1d2228; --warn: #ffb86b; --warn-paper: #33250f;
  --fake: #ff7b72; --real: #62b0f5; --grey: #8b949e;
  --c0: #b78af0; --c1: #f39b4a; --c2: #56d364; --c3: #f48fd0; --c4: #d4d04a; --c5: #4fd0de; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 104rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .4rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { max-width: 52rem; }
.soft, figcaption { color: var(--soft); font-size: .875rem; }
.warning { background: var(--warn-paper); color: var(--warn); border-left: .3rem solid;
  padding: .6rem .8rem; }
.tiles, .charts, .pictures { display: grid; gap: .8rem; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(min(100%, 10rem), 1fr)); }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr)); }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .7rem .9rem; }
.beside { display: flex; flex-wrap: wrap; gap: 0 1.6rem; align-items: flex-start; }
.beside > * { min-width: 0; max-width: 100%; }
.beside p { max-width: 34rem; }
.beside > .drawn { flex: 1 1 34rem; }
.whole { white-space: nowrap; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.3; }
.table { overflow-x: auto; background: linear-gradient(to right, var(--paper), var(--paper)) local left,
  linear-gradient(to left, var(--paper), var(--paper)) local right,
  linear-gradient(to right, var(--line), transparent) left,
  linear-gradient(to left, var(--line), transparent) right;
  background-repeat: no-repeat; background-size: 1rem 100%, 1rem 100%, .6rem 100%, .6rem 100%; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
td.number, th.number { text-align: right; }
td.wrap { white-space: normal; min-width: 12rem; }
figure { margin: 0; }
.chart, .picture { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem; }
.chart figcaption { color: var(--ink); font-weight: 600; }
svg { width: 100%; height: auto; display: block; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { fill: var(--soft); }
.picture img { width: 100%; height: auto; display: block; border-radius: .3rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem;
  overflow-x: auto; font-size: .85rem; }
.table, .charts, .tiles, .pictures { margin: .6rem 0 1rem; }
@media (max-width: 40rem) { body { padding: .8rem; } table { font-size: .8rem; }
  th, td { white-space: normal; padding-right: .5rem; overflow-wrap: normal; }
  td:first-child { overflow-wrap: anywhere; min-width: 5rem; }
  pre { white-space: pre-wrap; } }
@media print { body { max-width: none; font-size: 11pt; padding: 0; }
  figure, .tile, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  pre { white-space: pre-wrap; } .table { overflow: visible; } }
"""

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
