"""A checked picture as a card of the page: its thumbnail, verdict, stability, origin and reason."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fakedetect.core.console import printable
from fakedetect.core.page import to_html
from fakedetect.inference.judged import Judged
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
        judged: it.
        heat_maps: figures as WebP files.
    """

    judged: Judged
    heat_maps: tuple[bytes, ...] = ()

    @property
    def state(self) -> str:
        """A key of STATES."""
        return UNREADABLE if self.judged.reason else self.judged.verdict or UNJUDGED

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its findings, each once; NO_ORIGIN without any, none of a file that was not read."""
        if self.state == UNREADABLE:
            return ()
        if not self.judged.origin and self.judged.provenance:
            return (SOME_ORIGIN,)
        return tuple(dict.fromkeys(finding.kind for finding in self.judged.origin)) or (NO_ORIGIN,)

    @property
    def name(self) -> str:
        """The file's name, as it may be shown."""
        return printable(self.judged.path.name)

    @property
    def folder(self) -> str:
        """The folder that it lies in, as it may be shown."""
        return printable(self.judged.path.parent)


def draw_card(card: Card, folder: int, hint: bool) -> str:
    """The card as an item of a list.

    Args:
        folder: the number of its folder, which filters go by.
        hint: the verdict is a hint only.
    """
    p_fake = card.judged.p_fake_calibrated
    number = "" if p_fake is None else f"{p_fake:.6f}"
    kinds = " ".join(kind.replace(" ", "-") for kind in card.kinds)
    parts = [
        f'<li class="card" data-verdict="{escape(card.state)}" data-p="{number}" '
        f'data-folder="{folder}" data-origin="{escape(kinds)}">',
        _draw_thumbnail(card),
        f"<h3>{to_html(card.name)}</h3>",
        _draw_verdict(card, p_fake, hint),
        *(f'<p class="soft">{to_html(line)}</p>' for line in _remarks(card)),
        _draw_origin(card.judged.origin),
        _draw_heat_maps(card),
        _draw_file(card.judged, card.folder),
        "</li>\n",
    ]
    return "".join(parts)


def _draw_image(image: bytes, alt: str) -> str:
    data = base64.b64encode(image).decode("ascii")
    return f'<img loading="lazy" decoding="async" alt="{escape(alt)}" src="data:image/webp;base64,{data}">'


def _draw_thumbnail(card: Card) -> str:
    if not card.judged.thumbnail:
        return '<div class="thumbnail">no preview</div>'
    return f'<div class="thumbnail">{_draw_image(card.judged.thumbnail, f"Thumbnail of {card.name}")}</div>'


def _draw_verdict(card: Card, p_fake: float | None, hint: bool) -> str:
    word = STATES.get(card.state, card.state)
    if hint and card.state in ("fake", "real"):
        word += "?"
    figure = bar = ""
    if p_fake is not None:
        percent = 100 * p_fake
        figure = f" <span>p(fake) {percent:.1f} %</span>"
        bar = f'<div class="bar" aria-hidden="true"><i style="width:{percent:.1f}%"></i></div>'
    return f'<p class="verdict {escape(card.state)}"><b>{escape(word)}</b>{figure}</p>{bar}'


def _remarks(card: Card) -> Sequence[str]:
    """Why it has no verdict, what each model said, whether the answer is stable."""
    judged = card.judged
    lines = [printable(judged.reason)] if judged.reason else []
    if judged.answers:
        said = [f"{printable(each.model)} {100 * each.p_fake:.1f} %" for each in judged.answers]
        lines.append("; ".join(said))
    if judged.stability:
        lines.append("stable" if not judged.unstable else f"not stable: {printable(judged.stability)}")
    if not judged.origin and judged.provenance:
        lines.append(f"origin: {printable('; '.join(judged.provenance))}")
    return lines


def _draw_origin(origin: Sequence[Finding]) -> str:
    if not origin:
        return ""
    items = "".join(
        f'<li><span class="sure {each.sure}">{each.sure}</span> {to_html(printable(each.says))}</li>'
        for each in origin
    )
    return f'<ul class="origin" aria-label="Origin">{items}</ul>'


def _draw_heat_maps(card: Card) -> str:
    if not card.heat_maps:
        return ""
    drawn = "".join(_draw_image(image, f"Heat map of {card.name}") for image in card.heat_maps)
    return f"<details><summary>Heat map</summary>{drawn}</details>"


def _draw_file(judged: Judged, folder: str) -> str:
    told = [folder, ", ".join(filter(None, (judged.format, judged.size)))]
    if judged.sha256:
        told.append(f"SHA-256 {judged.sha256}")
    inside = "".join(f"<p>{to_html(printable(line))}</p>" for line in told if line)
    return f"<details><summary>File</summary>{inside}</details>"
