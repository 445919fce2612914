"""Features of pictures: a frozen backbone computes them once for each view."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakedetect.core.derived import remove_least_recent
from fakedetect.core.files import hash_file
from fakedetect.core.processes.pool import in_order, map_images
from fakedetect.core.settings.model_input import REFERENCE_SCALING
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.feature_cache import FeatureCache, make_feature_key
from fakedetect.images.copies import CopyKind, probe_copies
from fakedetect.images.faults import explain_fault
from fakedetect.images.views import ProbeViewRequest, in_batches, load_probe_views
from fakedetect.models.devices import to_device, warn_about_idle_gpu
from fakedetect.models.openvino.conversion import choose_engine
from fakedetect.models.openvino.engine import Engine
from fakedetect.models.probe.backbone import Backbone, build_backbone, hash_weights, with_own_weights
from fakedetect.models.processes import Group

ViewedPicture = tuple[ProbeViewRequest, np.ndarray | str]
"""A picture with its views, or with the reason why it has none."""

VIEWS_PER_BATCH = 32
"""Views in a forward pass of each process."""


@dataclass(frozen=True)
class FrozenBackbone:
    """A backbone on its device, its engine, the hash of its weights, and the seed if they are random.

    `squares` is the number of squares of a picture's copy: the whole picture, and its centre square.
    """

    backbone: Backbone
    weights: str
    seed: int | None
    engine: Engine
    squares: int

    @property
    def width(self) -> int:
        """The number of features of a picture."""
        return self.squares * self.backbone.width


def freeze_backbone(settings: Settings, console: Console) -> FrozenBackbone:
    """Load the chosen model's network with its pretrained weights, not with those of a later training.

    Weights in the folder of the model's probe take precedence.

    Raises:
        MissingWeightsError: its weights are missing and cannot be downloaded.
        UserError: the network or its weights cannot be used.
    """
    seed = None if settings.training.pretrained else settings.training.seed
    if seed is not None:
        console.warn(
            "pretrained = false: the features come from random weights, which have learned nothing."
        )
    recipe = with_own_weights(settings.recipe, settings.model_folder)
    backbone = build_backbone(recipe, settings.probe.layers, seed, settings.probe.tokens)
    weights = hash_weights(backbone.network)
    to_device(backbone)
    warn_about_idle_gpu(console)
    engine = choose_engine(settings, console, backbone)
    console.note(f"The features of {settings.model} are computed on {engine.device}")
    return FrozenBackbone(
        backbone=backbone,
        weights=weights,
        seed=seed,
        engine=engine,
        squares=2 if settings.probe.centre_square else 1,
    )


def make_feature_cache(settings: Settings, frozen: FrozenBackbone, file: Path) -> FeatureCache:
    """Return the feature cache in a file. Features of another backbone are removed from it."""
    takes, backbone = settings.recipe.input, frozen.backbone
    reads = f"{backbone.layers} {backbone.tokens} {frozen.squares}"
    depends_on = f"{frozen.weights} {reads} {takes.mean} {takes.std}"
    if takes.scaling != REFERENCE_SCALING:
        depends_on += f" {takes.scaling}"
    return FeatureCache(file, depends_on, frozen.width)


@dataclass(frozen=True)
class Features:
    """Features (N, D) float16 of the readable pictures for each view; `places` are their indices among all.

    `bad` has the reasons for the others.
    """

    views: tuple[np.ndarray, ...]
    places: tuple[int, ...]
    bad: dict[Path, str]


def compute_features(
    settings: Settings,
    console: Console,
    group: Group,
    engine: Engine,
    cache: FeatureCache,
    paths: Sequence[Path],
) -> Features:
    """Return the features of the clean and the degraded views of every picture, in every process.

    Features in the cache are read. All processes together compute the others and add them to the cache
    batch by batch, so that a stopped run resumes where it was.

    Raises:
        UserError: the cache cannot be written.
    """
    views = range(1 + settings.probe.degraded_views)
    seed = settings.training.seed
    bad: dict[Path, str] = {}
    keys: dict[Path, list[bytes]] = {}
    for path in paths:
        try:
            content = hash_file(path)
        except OSError as error:
            bad[path] = explain_fault(error, path)
            continue
        # A degraded view depends on the picture's name and the seed; the clean view depends on neither.
        words = ["clean", *(f"degraded {seed + view} {path.name}" for view in views[1:])]
        keys[path] = [make_feature_key(content, f"{word}; {engine.name}") for word in words]
    remove_least_recent()
    cache.open([key for of_path in keys.values() for key in of_path], console)
    group.wait()
    kind = probe_copies(settings.probe.centre_square).scaled(settings.recipe.input.scaling)
    jobs = _list_jobs(keys, cache, seed, kind)
    reasons: dict[bytes, str] = {}

    def extract(images: np.ndarray) -> np.ndarray:
        """Return features (N, D) float16 of images (N, S, W, 3) uint8."""
        return engine(images).astype(np.float16)

    part = group.part_of(jobs)
    # In order, so that the same pictures give the same batches, and so the same features.
    looks = in_order(part, map_images(load_probe_views, part, settings.workers))
    batches = in_batches(looks, max(1, VIEWS_PER_BATCH // len(views)))
    with console.progress(sum(len(job.views) for job in jobs), "features") as progress:
        for path, reason in _fill(cache, group, batches, extract, keys, progress.advance):
            reasons[keys[path][0]] = reason
    bad |= {path: reasons[of_path[0]] for path, of_path in keys.items() if of_path[0] in reasons}
    readable = [place for place, path in enumerate(paths) if path not in bad]
    found = tuple(cache.read([keys[paths[place]][view] for place in readable]) for view in views)
    return Features(found, tuple(readable), bad)


def _list_jobs(
    keys: Mapping[Path, Sequence[bytes]], cache: FeatureCache, seed: int, kind: CopyKind
) -> list[ProbeViewRequest]:
    """List the views that are not in the cache; identical pictures once."""
    claimed: set[bytes] = set()
    jobs = []
    for path, of_path in keys.items():
        missing = tuple(v for v, key in enumerate(of_path) if key not in cache and key not in claimed)
        claimed.update(of_path)
        if missing:
            jobs.append(ProbeViewRequest(path=path, views=missing, seed=seed, kind=kind))
    return jobs


def _fill(
    cache: FeatureCache,
    group: Group,
    batches: Iterator[list[ViewedPicture]],
    extract: Callable[[np.ndarray], np.ndarray],
    keys: Mapping[Path, Sequence[bytes]],
    advance: Callable[[int], object],
) -> Iterator[tuple[Path, str]]:
    """Add the features of this and the other processes' batches to the cache.

    Yields:
        Each picture that cannot be read, with the reason.
    """
    while True:
        batch = next(batches, [])
        seen = [(job, views) for job, views in batch if not isinstance(views, str)]
        found = extract(np.concatenate([views for _, views in seen])) if seen else None
        these = [keys[job.path][view] for job, _ in seen for view in job.views]
        faults = [(job.path, views) for job, views in batch if isinstance(views, str)]
        rounds = group.gather((these, found, faults))
        for of_process, features, unread in rounds:
            if features is not None:
                (cache.add if group.first else cache.add_in_memory)(of_process, features)
                advance(len(of_process))
            yield from unread
        if not any(of_process or unread for of_process, _, unread in rounds):
            return
