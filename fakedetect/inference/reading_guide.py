"""The text for readers of a verdict, docs/reading-a-verdict.md, as a part of a page."""

import re

from fakedetect.core.installation import HOME
from fakedetect.core.page import heading, section, to_html

GUIDE = HOME / "docs" / "reading-a-verdict.md"
TITLE = "How to read a verdict"


def reading_guide() -> str:
    """The text as a section, with the id `reading`; '' where this installation lacks it."""
    try:
        text = GUIDE.read_text(encoding="utf-8")
    except OSError:
        return ""
    blocks = [block for block in re.split(r"\n\s*\n", text.strip()) if not block.startswith("# ")]
    return section(TITLE, *map(_to_html, blocks)).replace("<section>", '<section id="reading">', 1)


def _to_html(block: str) -> str:
    """A heading, a list or a paragraph; the page uses no more of Markdown than that."""
    if block.startswith("## "):
        return heading(block.removeprefix("## "))
    for mark, tag in ((r"- ", "ul"), (r"\d+\. ", "ol")):
        if re.match(mark, block):
            items = re.split(rf"(?m)^{mark}", block)[1:]
            return f"<{tag}>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</{tag}>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    found = to_html(" ".join(text.split()))
    found = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", found)
    return re.sub(r"\*(.+?)\*", r"<em>\1</em>", found)
