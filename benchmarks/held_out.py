"""`python -m benchmarks.held_out`: figures of a probe's model card that no command prints.

It reads out_of_fold.json and prints the figures without some sources, or whether the thresholds' guarantee
holds on new real sources: thresholds are fitted to random halves of the sources and tested on the others.
`--rounding` adds how far rounded and random backbone weights move the margins of the test pictures by which
a probe recognises its backbone.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from scipy.special import logit

from fakedetect.core.records.training import HeldOutScores, read_held_out_scores
from fakedetect.core.settings.model_folder import model_hash, require_checkpoint
from fakedetect.core.settings.settings import Settings, load_settings
from fakedetect.core.terminal.progress import percent
from fakedetect.metrics.held_out import calibrate_held_out, measure_held_out
from fakedetect.metrics.intervals import FALSE_POSITIVE_RATE
from fakedetect.models.probe.backbone import build_backbone
from fakedetect.models.probe.model import compute_test_margins, load_probe

DRAWS = 300
LEVELS = 255
"""Steps between the smallest and the largest weight of a channel in 8 bits."""


Sources = Mapping[str, tuple[float, ...]]
"""Margins by source."""


def _leave(sources: Sources, without: Sequence[str]) -> dict[str, tuple[float, ...]]:
    return {name: values for name, values in sources.items() if not name.startswith(tuple(without))}


def describe_without(scores: HeldOutScores, without: Sequence[str]) -> str:
    """Describe the figures without the sources whose names start with one of `without`."""
    rest = msgspec.structs.replace(
        scores, fake=_leave(scores.fake, without), real=_leave(scores.real, without)
    )
    found = measure_held_out(rest)
    return f"ROC AUC {found.auc}, fake recall at 5 % false positives {found.fake_recall_at_5}"


def describe_guarantee(scores: HeldOutScores) -> str:
    """Describe the false-positive rate on real sources that the thresholds were not fitted to."""
    random = np.random.default_rng(0)
    names = sorted(scores.real)
    missed = calibrate_held_out(scores).max_missed
    by_sources, by_pictures = [], []
    for _ in range(DRAWS):
        half = set(random.choice(names, len(names) // 2, replace=False))
        fitted = {name: scores.real[name] for name in names if name in half}
        others = [np.array(scores.real[name]) for name in names if name not in half]
        saved = calibrate_held_out(
            msgspec.structs.replace(scores, real=fitted), FALSE_POSITIVE_RATE, missed
        )
        bound = saved.temperature * float(logit(saved.fake_from))
        plain = np.quantile(np.concatenate([np.array(v) for v in fitted.values()]), 1 - FALSE_POSITIVE_RATE)
        by_sources.append(np.mean([(values > bound).mean() for values in others]))
        by_pictures.append(np.mean([(values > plain).mean() for values in others]))
    low, high = np.quantile(by_sources, (0.05, 0.95))
    count = len(names) // 2
    return (
        f"Fitted to {count} real sources, tested on {len(names) - count} others, {DRAWS} draws: "
        f"{percent(np.mean(by_sources))} of the others' pictures called fake (nine of ten draws: "
        f"{percent(low)} to {percent(high)}); by the pictures' own 95 % point "
        f"{percent(np.mean(by_pictures))}"
    )


def describe_rounding(settings: Settings) -> str:
    """Describe how far other weights move the margins of the test pictures (root mean square)."""
    recipe = settings.recipe
    probe = load_probe(recipe, require_checkpoint(settings))
    network, before = probe.backbone.network, compute_test_margins(probe, recipe)
    generator = torch.Generator().manual_seed(0)
    changed = dict(network.state_dict())
    for name, value in changed.items():
        if value.ndim == 2:
            step = (value.amax(1, keepdim=True) - value.amin(1, keepdim=True)) / LEVELS
            changed[name] = value + (torch.rand(value.shape, generator=generator) - 0.5) * step
    others = {"8 bits a channel": changed}
    others["random"] = build_backbone(recipe, probe.backbone.layers, 1).network.state_dict()
    shown = []
    for name, state in others.items():
        network.load_state_dict(state)
        moved = np.sqrt(np.mean((compute_test_margins(probe, recipe) - before) ** 2))
        shown.append(f"{name} {moved:.2f}")
    return f"margins moved by weights: {', '.join(shown)}"


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.held_out", description=__doc__)
    parser.add_argument("--paths", type=Path, default=Path("paths.toml"), metavar="FILE")
    parser.add_argument("--model", default="starter", metavar="NAME")
    parser.add_argument(
        "--without", nargs="*", default=(), metavar="SOURCE", help="prefixes of source names"
    )
    parser.add_argument("--rounding", action="store_true", help="needs the backbone's weights")
    given = parser.parse_args()
    settings = load_settings(given.paths).with_model(given.model)
    scores = read_held_out_scores(settings.model_folder, model_hash(settings), settings.command("train"))
    if scores is None:
        parser.error(f"{given.model} has no out_of_fold.json for its checkpoint")
    print(describe_without(scores, given.without) if given.without else describe_guarantee(scores))
    if given.rounding:
        print(describe_rounding(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
