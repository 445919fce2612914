"""Draw heat maps for single pictures, and on a contact sheet."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.processes.pool import in_order, map_images
from fakedetect.core.settings.recipes import CLASSES, SEED
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, open_picture, printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.samples import Sample, find_originals
from fakedetect.explaining.figures import (
    METHOD_NAMES,
    MapRequest,
    choose_methods,
    compute_map,
    compute_probabilities,
    describe_explanation,
    explain_image,
    read_for_overlay,
    to_input,
)
from fakedetect.explaining.heatmaps import overlay
from fakedetect.images.sheets import SheetTile, draw_sheet
from fakedetect.images.views import ViewRequest, load_view
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import load_pictures, load_test_copies

SHEET_COLUMNS = 6


def _read_copies(paths: Sequence[Path], detector: Detector) -> Iterator[np.ndarray | str]:
    """Yield the copy (S, W, 3) uint8 of each picture that `check` predicts on, or why there is none."""
    folders = {path for path in paths if path.is_dir()}
    looks = [ViewRequest(path, (detector.kind,)) for path in paths if path not in folders]
    seen = in_order(looks, map_images(load_view, looks, detector.settings.workers))
    for path in paths:
        if path in folders:
            yield "is a folder. Name pictures, or use --sheet for many test pictures"
            continue
        _, view = next(seen)
        reason = view if isinstance(view, str) else view.too_small
        yield f"cannot be used: {reason}" if isinstance(view, str) or reason else view.images[0][0]


def _choose_samples(settings: Settings, count: int) -> list[Sample]:
    """Choose the same `count` test pictures in every run, half of them fake."""
    random = np.random.default_rng(SEED)
    samples = load_pictures(settings, "test").samples
    chosen: list[Sample] = []
    for label, wanted in ((0, (count + 1) // 2), (1, count // 2)):
        of_class = [sample for sample in samples if sample.label == label]
        numbers = random.permutation(len(of_class))[:wanted]
        chosen += [of_class[number] for number in sorted(numbers)]
    return chosen


def draw_contact_sheet(
    settings: Settings, console: Console, layer: str | None, method: str, count: int
) -> Outcome:
    """Draw heat maps of `count` test pictures onto one sheet.

    Args:
        layer: name of the layer for Grad-CAM; None for the model's default.
        method: a key of METHOD_NAMES.
    """
    detector = load_detector(settings, console)
    settings = detector.settings
    tiles = []
    samples = _choose_samples(settings, count)
    paths = [sample.path for sample in samples]
    copies, originals = load_test_copies(detector, paths), find_originals(settings, "test", paths)
    for sample, original in console.track(zip(samples, originals, strict=True), len(samples), "heat maps"):
        image = copies[sample.path]
        if isinstance(image, str):
            continue
        batch = to_input(detector, image[None])
        p_classes = compute_probabilities(detector, image[None])[0]
        predicted = int(p_classes.argmax())
        # Once found, the layer is the same for every picture.
        layer, heat = compute_map(detector, batch, method, layer, predicted)
        verdict = f"{CLASSES[predicted]} {percent(p_classes[predicted], 0)}"
        caption = f"{printable(sample.path.name)}\nis {CLASSES[sample.label]}, predicted {verdict}"
        mixed = overlay(read_for_overlay(original, image), heat)[1]
        tiles.append(SheetTile(mixed, caption, predicted != sample.label))
    sheet = settings.grad_cam / f"contact_sheet_{settings.model}.png"
    title = f"{settings.model}: {METHOD_NAMES[method]} of the predicted class (mistakes in bold)"
    draw_sheet(tiles, SHEET_COLUMNS, title, sheet)
    if console.interactive:
        open_picture(sheet)
    wrong = sum(tile.wrong for tile in tiles)
    return Outcome(f"{len(tiles)} test pictures, {wrong} of them misclassified: {sheet}")


def explain_all(
    settings: Settings,
    console: Console,
    paths: Sequence[Path],
    layer: str | None,
    target: str | None,
    method: str | None,
) -> Outcome:
    """Explain pictures one by one. If there are several, those that cannot be used are skipped."""
    detector = load_detector(settings, console, name_device=len(paths) > 1)
    methods = [method] if method else choose_methods(detector.model)
    wanted = MapRequest(methods=methods, layer=layer, target=target)
    failed = 0
    copies = zip(paths, _read_copies(paths, detector), strict=True)
    for path, copy in console.track(copies, len(paths), "explained") if len(paths) > 1 else copies:
        try:
            if isinstance(copy, str):
                raise UserError(f"{printable(path)} {copy}.")
            explanation = explain_image(detector, path, copy, wanted)
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
