"""Option 6: explain predictions with heat maps over the pictures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_folder import require_checkpoint
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.settings.trained_input import own_settings
from fakedetect.core.terminal.console import Console, Outcome, printable
from fakedetect.dataset.folders import advise_to_resize, find_class_folders
from fakedetect.dataset.samples import find_originals
from fakedetect.images.listing import list_images
from fakedetect.images.named import parse_paths, parse_usable_paths


def find_by_number(settings: Settings, label: str, number: str) -> Path:
    """Find a test picture by its class and number, with any extension; the original if it exists.

    The number is the whole name ('0101'), or the digits at its end ('photo_0101').

    Raises:
        UserError: no picture or several pictures have that number, or paths.toml sets another input than
            the model was trained with.
    """
    resized = own_settings(settings).resized["test"]
    if resized.is_dir():
        folders = find_class_folders(resized, advise_to_resize(settings, "test"))
        folder = next(path for path, found in folders if CLASSES[found] == label)
    else:
        folder = settings.original[f"test-{label}"]
    paths = list_images(folder)
    found = [path for path in paths if path.stem == number]
    if not found and number.isdecimal():
        ends = [(re.search(r"\d+$", path.stem), path) for path in paths]
        found = [path for end, path in ends if end and int(end[0]) == int(number)]
    if not found:
        some = ", ".join(printable(path.stem) for path in paths[:3])
        raise UserError(f"No picture {number!r} in {folder}. Available: {some or 'none'}, …")
    if len(found) > 1:
        some = ", ".join(printable(path.relative_to(folder)) for path in found[:4])
        raise UserError(f"Several pictures have the number {number}: {some}. Give the path of one.")
    # A copy of the small copy would get another prediction than that of `test`.
    return find_originals(settings, "test", found)[0]


def _ask_for(settings: Settings, console: Console, ask: str) -> list[Path]:
    """Ask the user for pictures until they exist; return none if the user gives up."""
    path = ask == "path"
    question = "Path of the picture (TAB completes)" if path else f"Image number ({ask})"

    def read(answer: str) -> list[Path]:
        return parse_paths([answer], "picture") if path else [find_by_number(settings, ask, answer)]

    return console.ask_until(question, read, path) or []


@dataclass(frozen=True)
class ExplainRequest:
    """What to explain, and how.

    Attributes:
        images: paths of pictures.
        layer: name of the layer for Grad-CAM; None for the model's default.
        target: the class to explain, 'fake' or 'real'; None for the predicted one.
        method: a key of METHOD_NAMES; None for Grad-CAM, with Attention Rollout for a ViT.
        sheet: draw a contact sheet of this many test pictures instead.
        ask: ask the user for a picture: 'real' or 'fake' for a number of that class, or 'path'.
    """

    images: Sequence[str] = ()
    layer: str | None = None
    target: str | None = None
    method: str | None = None
    sheet: int | None = None
    ask: str | None = None

    def __post_init__(self) -> None:
        if self.sheet is not None and self.sheet < 1:
            raise UserError("--sheet needs at least 1 picture.")
        if self.sheet is not None and (self.images or self.target):
            raise UserError(
                "--sheet chooses test pictures itself and explains the predicted class. Remove the "
                "pictures and --class, or remove --sheet."
            )


def explain(settings: Settings, console: Console, **request: Any) -> Outcome:
    """Draw heat maps of the chosen model's predictions, and print how far each can be trusted.

    Args:
        request: the fields of ExplainRequest.
    """
    wanted = ExplainRequest(**request)
    require_checkpoint(settings)
    if wanted.ask:
        paths, missing = _ask_for(settings, console, wanted.ask), 0
    else:
        paths, missing = parse_usable_paths(wanted.images, console.fail, "picture")
    if wanted.ask and not paths:
        return Outcome("No picture given.", left=True)
    if wanted.sheet is None and not wanted.images and not paths:
        raise UserError(
            f"Name a picture to explain, {settings.command('explain', 'IMAGE')}, or give --sheet."
        )
    console.show_loading("fakedetect.explaining.drawing")
    from fakedetect.explaining.drawing import draw_contact_sheet, explain_all

    if wanted.sheet is not None:
        return draw_contact_sheet(
            settings, console, wanted.layer, wanted.method or "grad-cam", wanted.sheet
        )
    done = explain_all(settings, console, paths, wanted.layer, wanted.target, wanted.method)
    return replace(done, status=1) if missing else done
