"""The colours of every figure: one for each class, others for sources, models and measures."""

CLASS_COLOURS = {"fake": "tab:red", "real": "tab:blue"}
"""Nothing but the two classes is drawn in these."""

SERIES_COLOURS = ("tab:purple", "tab:orange", "tab:green", "tab:pink", "tab:olive", "tab:cyan")
"""Colours of whatever else is told apart."""

AUC_COLOUR, ACCURACY_COLOUR = SERIES_COLOURS[0], SERIES_COLOURS[1]
TRAINING_COLOUR, VALIDATION_COLOUR = SERIES_COLOURS[2], SERIES_COLOURS[1]

TEXT_COLOUR = "#111111"
"""Of text on a coloured ground."""

LINES = ("-", "--", "-.")
HATCHES = ("", "//", "..", "xx")


def series_colour(number: int) -> str:
    """The colour of a series by its number from 0; they begin anew after the last."""
    return SERIES_COLOURS[number % len(SERIES_COLOURS)]


def series_line(number: int) -> str:
    """The line style that tells a series from the earlier ones of its colour."""
    return LINES[number // len(SERIES_COLOURS) % len(LINES)]


def series_hatch(number: int) -> str:
    """The hatching that tells a bar from the earlier ones of its colour."""
    return HATCHES[number // len(SERIES_COLOURS) % len(HATCHES)]
