"""The jobs, each prepared once for the course project's implementation and ours."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import answers, plain, probe, reference, small
from benchmarks.corpus import make_large, make_small
from benchmarks.pairs import BenchmarkJob
from benchmarks.peak import STEP_IN_PASSES, count_operations
from fakedetect.core.processes.pool import map_images
from fakedetect.core.processes.shards import count_workers
from fakedetect.core.settings.settings import Settings, load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.batches import cut_batches, load_batches
from fakedetect.dataset.decoded import decode_pictures
from fakedetect.dataset.samples import Sample
from fakedetect.images.copies import CopyKind
from fakedetect.images.listing import list_images
from fakedetect.images.reading import find_fault
from fakedetect.models.building import build_model
from fakedetect.models.cpu_training.speed_up import speed_up
from fakedetect.models.devices import Normaliser, choose_precision, to_device
from fakedetect.models.openvino.conversion import choose_engine
from fakedetect.models.predictions import predict_batches
from fakedetect.preprocessing.resize import CopyJob, resize_image
from fakedetect.training.epochs import make_optimizer

MOST_GREY_LEVELS_APART = 3.0
"""The largest mean difference between a fast copy and a plain one, in grey levels of 255."""

MOST_MENU_SECONDS = 0.4


def _corpus(folder: Path, quick: bool) -> list[Path]:
    large = folder / "large"
    if not large.is_dir():
        large.mkdir()
        make_large(large, 80 if quick else 400)
    return list_images(large)


def scan(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Find the unreadable pictures."""
    paths = _corpus(folder, quick)
    verdicts: dict[str, set[Path]] = {}

    def theirs() -> None:
        verdicts["reference"] = plain.find_bad_images(paths)

    def ours() -> None:
        results = map_images(find_fault, paths, count_workers(None))
        verdicts["ours"] = {path for path, reason in results if reason}

    return BenchmarkJob(
        len(paths), "pictures", theirs, ours, lambda: verdicts["reference"] == verdicts["ours"] != set()
    )


def _copies(folder: Path, paths: list[Path], kind: CopyKind) -> BenchmarkJob:
    theirs_folder, ours_folder = folder / "copies_reference", folder / "copies_ours"

    def theirs() -> None:
        shutil.rmtree(theirs_folder, ignore_errors=True)
        plain.resize(paths, theirs_folder)

    def ours() -> None:
        shutil.rmtree(ours_folder, ignore_errors=True)
        jobs = [CopyJob(path, ours_folder / path.name, kind) for path in paths]
        for _ in map_images(resize_image, jobs, count_workers(None)):
            pass

    def differences() -> Iterator[float]:
        for path in list_images(theirs_folder):
            plain, fast = (np.asarray(Image.open(p), np.int16) for p in (path, ours_folder / path.name))
            yield float(np.abs(plain - fast).mean())

    def equal() -> bool:
        same_names = {p.name for p in list_images(theirs_folder)} == {
            p.name for p in list_images(ours_folder)
        }
        limit = MOST_GREY_LEVELS_APART if kind.fast else 0.0
        return same_names and float(np.mean(list(differences()))) <= limit

    def note() -> str:
        return f"mean difference {np.mean(list(differences())):.2f} of 255 grey levels"

    return BenchmarkJob(len(paths), "pictures", theirs, ours, equal, note)


def resize(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Make copies that are bit-identical to the course project's."""
    return _copies(folder, _corpus(folder, quick), CopyKind())


def resize_fast(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Make fast copies of JPEGs; other formats cannot be decoded at a smaller size."""
    paths = [path for path in _corpus(folder, quick) if path.suffix == ".jpg"]
    return _copies(folder, paths, CopyKind(fast=True))


def _settings(model: str) -> Settings:
    settings = load_settings(Path(__file__).resolve().parent.parent / "paths.toml").with_model(model)
    return replace(settings, training=replace(settings.training, pretrained=False))


def train(folder: Path, quick: bool, model: str) -> BenchmarkJob:
    """Training steps on pictures that are already decoded."""
    settings = _settings(model)
    torch.manual_seed(0)
    recipe = settings.recipe
    batch, steps = recipe.batch_size, 2 if quick else 4
    side = recipe.input.size
    images = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels = torch.arange(batch) % 2
    plain = build_model(recipe, pretrained=False).train()
    tuned = build_model(recipe, pretrained=False)
    tuned.load_state_dict(plain.state_dict())
    tuned = to_device(tuned).train()
    device = next(tuned.parameters()).device
    dtype = choose_precision(settings, tuned)
    normalise = Normaliser(recipe, device)
    optimizers = (
        getattr(torch.optim, recipe.optimizer)(
            plain.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        ),
        make_optimizer(recipe, tuned),
    )
    as_floats = Normaliser(recipe, torch.device("cpu"))(images).contiguous()
    gradients, scale = speed_up(tuned, dtype, side), torch.tensor(1 / batch, device=device)
    first: dict[str, float] = {}

    def theirs() -> None:
        for _ in range(steps):
            loss = reference.step(plain, optimizers[0], as_floats, labels)
            first.setdefault("reference", loss)

    def ours() -> None:
        for _ in range(steps):
            optimizers[1].zero_grad(set_to_none=True)
            floats, their = normalise(images.to(device)), labels.to(device)
            loss = scale * gradients.add(tuned, floats, their, scale)
            optimizers[1].step()
            first.setdefault("ours", loss.item())

    return BenchmarkJob(
        batch * steps,
        "pictures",
        theirs,
        ours,
        lambda: abs(first["reference"] - first["ours"]) < 0.05 * first["reference"],
        lambda: f"{model}, {str(dtype).split('.')[-1]}",
        operations=STEP_IN_PASSES * count_operations(plain, settings.recipe.input.size),
        bf16=dtype == torch.bfloat16,
    )


def _small(folder: Path, quick: bool) -> tuple[Path, list[Sample]]:
    small = folder / "small"
    if not small.is_dir():
        make_small(small, 64 if quick else 256)
    return small, [
        Sample(path, label, "")
        for label, name in enumerate(("fake", "real"))
        for path in list_images(small / name)
    ]


def test(folder: Path, quick: bool, model: str) -> BenchmarkJob:
    """A test from JPEG files to predicted classes."""
    settings = _settings(model)
    small, samples = _small(folder, quick)
    torch.manual_seed(0)
    plain = build_model(settings.recipe, pretrained=False)
    tuned = build_model(settings.recipe, pretrained=False)
    tuned.load_state_dict(plain.state_dict())
    engine = choose_engine(settings, Console(quiet=True), to_device(tuned).eval())
    predicted: dict[str, list[int]] = {}

    def theirs() -> None:
        predicted["reference"] = reference.predict(plain, small, settings.recipe.batch_size)

    def ours() -> None:
        predicted["ours"] = []
        for _, logits in predict_batches(settings, Console(quiet=True), engine, samples, "test"):
            predicted["ours"] += logits.argmax(1).tolist()

    def equal() -> bool:
        same = [a == b for a, b in zip(predicted["reference"], predicted["ours"], strict=True)]
        return sum(same) >= 0.98 * len(same)

    def note() -> str:
        same = sum(a == b for a, b in zip(predicted["reference"], predicted["ours"], strict=True))
        return f"{model}, {engine.name}, {same} of {len(samples)} predictions the same"

    return BenchmarkJob(
        len(samples),
        "pictures",
        theirs,
        ours,
        equal,
        note,
        operations=count_operations(plain, settings.recipe.input.size),
        bf16="bfloat16" in engine.name,
    )


def epoch2(folder: Path, quick: bool, model: str) -> BenchmarkJob:
    """Load the pictures of the second and later epochs, batch by batch."""
    settings = _settings(model)
    small, samples = _small(folder, quick)
    size, scaling = settings.recipe.batch_size, settings.recipe.input.scaling
    workers = count_workers(None)
    decoded = decode_pictures(
        small, [sample.path for sample in samples], Console(quiet=True), workers, scaling
    )
    sums: dict[str, int] = {}

    def theirs() -> None:
        sums["reference"] = sum(
            len(images) for images, _ in reference.load_epoch(small, size, augment=True)
        )

    def ours() -> None:
        batches = load_batches(cut_batches(samples, size), workers, scaling, decoded)
        sums["ours"] = sum(len(batch.samples) for batch in batches)

    def equal() -> bool:
        batch = next(load_batches([samples[:8]], 1, scaling, decoded))
        plain = next(load_batches([samples[:8]], 1, scaling))
        return sums["reference"] == sums["ours"] and torch.equal(batch.images, plain.images)

    return BenchmarkJob(len(samples), "pictures", theirs, ours, equal)


def feed(folder: Path, quick: bool, model: str) -> BenchmarkJob:
    """Training from files against the same steps on random data on the device.

    A ratio near 1 means that the device never waits for pictures.
    """
    settings = _settings(model)
    small, samples = _small(folder, quick)
    size = min(settings.recipe.batch_size, len(samples) // 4)
    workers, scaling = count_workers(None), settings.recipe.input.scaling
    decoded = decode_pictures(
        small, [sample.path for sample in samples], Console(quiet=True), workers, scaling
    )
    network = to_device(build_model(settings.recipe, pretrained=False)).train()
    device = next(network.parameters()).device
    dtype = choose_precision(settings, network)
    normalise = Normaliser(settings.recipe, device)
    optimizer = make_optimizer(settings.recipe, network)
    shape = (size, scaling.size, scaling.size, 3)
    random = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    random = random.permute(0, 3, 1, 2)
    labels = (torch.arange(size) % 2).to(device)
    gradients = speed_up(network, dtype, scaling.size)
    scale = torch.tensor(1 / size, device=device)

    def step(images: torch.Tensor, targets: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        gradients.add(network, normalise(images), targets, scale)
        optimizer.step()

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def theirs() -> None:
        for _ in range(len(samples) // size):
            step(random, labels)
        finish()

    def ours() -> None:
        batches = cut_batches(samples, size)[: len(samples) // size]
        for batch in load_batches(batches, workers, scaling, decoded, pin=device.type == "cuda"):
            images = batch.images.to(device, non_blocking=True)
            step(images, batch.labels.to(device, non_blocking=True))
        finish()

    count = len(samples) // size * size
    return BenchmarkJob(
        count,
        "pictures",
        theirs,
        ours,
        lambda: True,
        lambda: f"{model}, {str(dtype).split('.')[-1]}, {device}",
    )


def start(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Start and leave the menu, against importing all libraries first."""
    menu = Path(__file__).resolve().parent.parent / "menu.py"
    seconds: list[float] = []

    def theirs() -> None:
        code = "import torch, torchvision, timm, sklearn.metrics, matplotlib.pyplot, PIL.Image"
        subprocess.run([sys.executable, "-c", code], check=True)

    def ours() -> None:
        begun = time.perf_counter()
        subprocess.run([sys.executable, str(menu)], input=b"0\n", stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - begun)

    def note() -> str:
        return f"menu started and left in {np.median(seconds):.2f} s"

    return BenchmarkJob(
        1, "starts", theirs, ours, lambda: float(np.median(seconds)) < MOST_MENU_SECONDS, note
    )


JOBS = {
    "scan": scan,
    "resize": resize,
    "resize-fast": resize_fast,
    "train": train,
    "test": test,
    "epoch2": epoch2,
    "feed": feed,
    "start": start,
    "check": answers.check,
    "check-plain": answers.check_plain,
    "check-page": answers.check_page,
    "check-probe": answers.check_by_probe,
    "evaluate": answers.evaluate,
    "probe-features": probe.compute_vit_features,
    "probe-lines": probe.fit_classifiers,
    **small.JOBS,
}
