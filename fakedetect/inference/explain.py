"""Option 6: why the model answers as it does, as heat maps over pictures."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fakedetect.core.console import Console, Outcome, open_picture
from fakedetect.core.errors import UserError
from fakedetect.core.pool import map_images
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.dataset.decoded import load_or_explain
from fakedetect.dataset.folders import class_folders
from fakedetect.dataset.originals import find_originals
from fakedetect.dataset.samples import Sample, load_dataset
from fakedetect.images.listing import list_images
from fakedetect.images.sheets import Tile, draw_sheet
from fakedetect.images.views import Look, look_at
from fakedetect.inference.figures import (
    HEAT_MAPS,
    default_methods,
    describe_explanation,
    explain_image,
    layer_name,
    probabilities,
    read_in_shape,
    to_input,
)
from fakedetect.inference.heatmaps import attention_rollout, find_layer, grad_cam, overlay
from fakedetect.models.detector import Detector, load_detector

SHEET = 24
SHEET_COLUMNS = 6
SEED = 42


def _read(path: Path, detector: Detector) -> np.ndarray:
    """The copy (224, 224, 3) uint8 of a picture that `check` judges."""
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name pictures, or use --sheet for many test pictures.")
    if not path.exists():
        raise UserError(f"There is no picture {path}. Check the name.")
    ((_, view),) = map_images(look_at, [Look(path, (detector.kind,))], 1)
    if isinstance(view, str):
        raise UserError(f"{path} cannot be used: {view}.")
    return view.images[0, 0]


def find_by_number(settings: Settings, label: str, number: str) -> Path:
    """A test picture by its class and number, under any extension.

    The number is the whole name ('0101'), or else the digits at its end ('photo_0101').

    Raises:
        UserError: no picture has that number, or several have.
    """
    resized = settings.resized["test"]
    if resized.is_dir():
        advice = f"Resize first: {settings.command('resize')}"
        folder = next(path for path, found in class_folders(resized, advice) if CLASSES[found] == label)
    else:
        folder = settings.original[f"test-{label}"]
    paths = list_images(folder)
    found = [path for path in paths if path.stem == number]
    if not found and number.isdecimal():
        ends = [(re.search(r"\d+$", path.stem), path) for path in paths]
        found = [path for end, path in ends if end and int(end[0]) == int(number)]
    if not found:
        some = ", ".join(path.stem for path in paths[:3])
        raise UserError(f"No picture {number!r} in {folder}. Names there: {some or 'none'}, …")
    if len(found) > 1:
        some = ", ".join(str(path.relative_to(folder)) for path in found[:4])
        raise UserError(f"Several pictures have the number {number}: {some}. Give the path of one.")
    return found[0]


def _choose_samples(settings: Settings, count: int) -> list[Sample]:
    """The same `count` test pictures every time, half of them fake."""
    random = np.random.default_rng(SEED)
    samples = load_dataset(settings, "test").samples
    chosen: list[Sample] = []
    for label, wanted in ((0, (count + 1) // 2), (1, count // 2)):
        of_class = [sample for sample in samples if sample.label == label]
        numbers = random.permutation(len(of_class))[:wanted]
        chosen += [of_class[number] for number in sorted(numbers)]
    return chosen


def _draw_contact_sheet(
    settings: Settings, console: Console, layer: str | None, method: str, count: int
) -> str:
    detector = load_detector(settings)
    tiles, name = [], ""
    samples = _choose_samples(settings, count)
    workers = settings.workers
    images = dict(map_images(load_or_explain, [sample.path for sample in samples], workers))
    usable = [sample for sample in samples if not isinstance(images[sample.path], str)]
    originals = find_originals(settings, "test", [sample.path for sample in usable])
    shown = dict(zip(usable, originals, strict=True))
    for sample in console.track(usable, len(usable), "heat maps"):
        image = images[sample.path]
        batch = to_input(detector.normalise, image[None])
        answer = probabilities(detector, image[None])[0]
        predicted = int(answer.argmax())
        if method == "rollout":
            heat = attention_rollout(detector.model, batch)[0]
        else:
            name = name or layer_name(settings, detector.model, batch, layer)
            target = torch.tensor([predicted], device=batch.device)
            heat = grad_cam(detector.model, find_layer(detector.model, name), batch, target)[0][0]
        verdict = f"{CLASSES[predicted]} {100 * answer[predicted]:.0f} %"
        caption = f"{sample.path.name}\nis {CLASSES[sample.label]}, taken for {verdict}"
        mixed = overlay(read_in_shape(shown[sample], image), heat)[1]
        tiles.append(Tile(mixed, caption, predicted != sample.label))
    sheet = settings.grad_cam / f"contact_sheet_{settings.model}.png"
    title = f"{settings.model}: {HEAT_MAPS[method]} of the predicted class (mistakes in bold)"
    draw_sheet(tiles, SHEET_COLUMNS, title, sheet)
    if console.interactive:
        open_picture(sheet)
    wrong = sum(tile.wrong for tile in tiles)
    return f"{len(tiles)} test pictures, {wrong} of them misclassified: {sheet}"


def _ask_for(settings: Settings, console: Console, ask: str) -> Path | None:
    if ask == "path":
        answer = console.ask("Path of the picture")
        return Path(answer.strip("'\"")).expanduser() if answer else None
    answer = console.ask(f"Image number ({ask})")
    return find_by_number(settings, ask, answer) if answer else None


def explain(
    settings: Settings,
    console: Console,
    images: Sequence[str] = (),
    layer: str | None = None,
    target: str | None = None,
    method: str | None = None,
    sheet: int | None = None,
    ask: str | None = None,
) -> Outcome:
    """Draw heat maps of the chosen model's predictions and say how far to believe them.

    Args:
        images: paths of pictures.
        layer: the layer for Grad-CAM by its name; the model's own otherwise.
        target: the class to explain, 'fake' or 'real'; the predicted one otherwise.
        method: a key of HEAT_MAPS; Grad-CAM otherwise, and Attention Rollout too for a ViT.
        sheet: draw a contact sheet of so many test pictures instead.
        ask: ask for a picture: 'real' or 'fake' and its number, or 'path'.
    """
    if sheet is not None:
        if sheet < 1:
            raise UserError("--sheet needs a number of pictures from 1 up.")
        return Outcome(_draw_contact_sheet(settings, console, layer, method or "grad-cam", sheet))
    paths = [Path(image) for image in images]
    if ask:
        asked = _ask_for(settings, console, ask)
        if asked is None:
            return Outcome("No picture named.")
        paths = [asked]
    if not paths:
        raise UserError(
            f"Name a picture to explain, {settings.command('explain', 'IMAGE')}, or give --sheet."
        )
    return _explain_all(load_detector(settings), console, paths, layer, target, method)


def _explain_all(
    detector: Detector,
    console: Console,
    paths: Sequence[Path],
    layer: str | None,
    target: str | None,
    method: str | None,
) -> Outcome:
    """Explain one picture after the other; of several, one that cannot be used is skipped."""
    methods = [method] if method else default_methods(detector.model)
    failed = 0
    for path in console.track(paths, len(paths), "explained") if len(paths) > 1 else paths:
        try:
            explanation = explain_image(detector, path, _read(path, detector), methods, layer, target)
        except UserError as error:
            if len(paths) == 1:
                raise
            console.fail(str(error))
            failed += 1
            continue
        console.show(describe_explanation(explanation))
        for heat_map in explanation.maps if console.interactive else ():
            open_picture(heat_map.figure)
    if failed == len(paths):
        raise UserError("None of the pictures could be explained.")
    return Outcome("", 1 if failed else 0)
