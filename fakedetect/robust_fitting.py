"""The two parts of a robust run that are fitted, not trained step by step: the head, and the vote."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fakedetect.calibration import fit_temperature
from fakedetect.devices import predict_batches
from fakedetect.epochs import EPOCHS_A_SEED, Run
from fakedetect.errors import UserError
from fakedetect.processes import Group
from fakedetect.robust import STRENGTH, degrade_with, find_head, fit_line, set_head, some_of
from fakedetect.texture import STRENGTH as TEXTURE_STRENGTH
from fakedetect.texture import TextureVote, early_layer, watch


@contextmanager
def _watch_input(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """A list that has, after each forward pass, a layer's input (B, D) at its end."""
    seen: list[torch.Tensor] = []

    def remember(_: nn.Module, given: tuple[torch.Tensor]) -> None:
        seen.append(given[0].float())

    hook = layer.register_forward_pre_hook(remember)
    try:
        yield seen
    finally:
        hook.remove()


def _collect(
    run: Run,
    model: nn.Module,
    watching: Callable[[], Any],
    group: Group,
    samples: list,
    label: str,
    degraded: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, set[Path]]:
    """Features (N, D), margins (N,) and is_fake (N,) of the samples, and the unreadable files."""
    change = degrade_with(run.settings.training.seed * EPOCHS_A_SEED) if degraded else None
    found, margins, fake, bad = [], [], [], set()
    with watching() as seen:
        for batch, logits in predict_batches(
            run.settings, run.console, model, run.dtype, group.share(samples), label, run.decoded, change
        ):
            bad.update(sample.path for sample in batch.bad)
            if batch.samples:
                found.append(seen.pop().cpu().numpy())
                margins.append((logits[:, 0] - logits[:, 1]).double().numpy())
                fake.append(batch.labels.numpy() == 0)
    parts = group.gather((found, margins, fake, bad))
    arrays = [np.concatenate([array for part in parts for array in part[n]]) for n in range(3)]
    return arrays[0], arrays[1], arrays[2], set().union(*(part[3] for part in parts))


def fit_head(run: Run, label: str) -> tuple[float, set[Path]]:
    """The first epoch: fit the head on the pretrained features of clean and degraded pictures.

    Returns:
        The mean training loss and the unreadable files.
    """
    head = find_head(run.model)
    samples = some_of(run.train_samples, run.settings.training.seed)
    features, fake, bad = [], [], set()
    for degraded in (False, True):
        these, _, is_fake, unread = _collect(
            run, run.model, lambda: _watch_input(head), run.group, samples, label, degraded
        )
        features.append(these)
        fake.append(is_fake)
        bad |= unread
    all_features, all_fake = np.concatenate(features), np.concatenate(fake)
    if not 0 < all_fake.sum() < len(all_fake):
        raise UserError("The training pictures are all of one class. Train with more pictures.")
    weights, bias = run.group.gather(fit_line(all_features, all_fake, STRENGTH))[0]
    set_head(head, weights, bias)
    if run.average is not None:
        run.average.update_parameters(run.model)
    margins = torch.from_numpy(all_features @ weights + bias)
    target = torch.from_numpy(all_fake.astype(np.float64))
    return float(functional.binary_cross_entropy_with_logits(margins, target)), bad


def fit_vote(run: Run, model: nn.Module) -> TextureVote:
    """Fit the texture's vote for a trained model, weighed on the validation pictures."""
    layer, alone = early_layer(model), Group()
    samples = some_of(run.train_samples, run.settings.training.seed)
    features, fake = [], []
    for degraded in (False, True):
        these, _, is_fake, _ = _collect(
            run, model, lambda: watch(model, layer), alone, samples, "texture", degraded
        )
        features.append(these)
        fake.append(is_fake)
    weights, bias = fit_line(np.concatenate(features), np.concatenate(fake), TEXTURE_STRENGTH)
    texture, margins, is_fake, _ = _collect(
        run, model, lambda: watch(model, layer), alone, run.val_samples, "texture", False
    )
    votes = texture @ weights + bias
    model_scale, vote_scale = (float(values.std()) or 1.0 for values in (margins, votes))
    common = (margins / model_scale + votes / vote_scale) / 2
    temperature = fit_temperature(common, is_fake) if 0 < is_fake.sum() < len(is_fake) else 1.0
    return TextureVote(layer, tuple(weights.tolist()), bias, model_scale, vote_scale, temperature)
