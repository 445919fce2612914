"""The robust recipe: what it adds to the reference's way of training.

- Its first epoch fits the head alone on the pretrained features, by logistic regression: fine-tuning
  that starts from there distorts them less (Kumar et al. 2022, 'Fine-Tuning can Distort Pretrained
  Features and Underperform Out-of-Distribution').
- In the further epochs every training picture is degraded at random (augmentation.py), the learning
  rate follows a cosine with a warm-up (Loshchilov and Hutter 2017), and the weights are averaged over
  about an epoch (Polyak and Juditsky 1992).
- At the end an early layer's texture statistics get a vote of their own (texture.py).
"""

from collections import ChainMap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fakedetect.core.errors import UserError
from fakedetect.core.recipes import UNBALANCED
from fakedetect.dataset.samples import Sample, draw_places, faults_of
from fakedetect.metrics.calibration import fit_temperature
from fakedetect.models.devices import predict_batches, torch_engine
from fakedetect.models.processes import Group
from fakedetect.models.texture import TEXTURE_STRENGTH, TextureVote, early_layer, watch
from fakedetect.training.augmentation import degrade_with
from fakedetect.training.balance import weigh
from fakedetect.training.epochs import EPOCHS_A_SEED, Run

HEAD_STRENGTH = 0.01
"""scikit-learn's C of the head's logistic regression."""

MOST_FITTED = 10_000
"""Training pictures that a logistic regression is fitted on."""


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


@dataclass(frozen=True)
class _Seen:
    """Readable samples, a layer's features (N, D) and the model's margins (N,) of them, and the unreadable
    files' reasons."""

    samples: tuple[Sample, ...]
    features: np.ndarray
    margins: np.ndarray
    bad: dict[Path, str]

    @property
    def is_fake(self) -> np.ndarray:
        """(N,) bool."""
        return np.array([sample.label == 0 for sample in self.samples])


def _collect(
    run: Run,
    model: nn.Module,
    watching: Callable[[], Any],
    group: Group,
    samples: list[Sample],
    label: str,
    degraded: bool,
) -> _Seen:
    """What a layer and the model make of the samples, in every process."""
    change = degrade_with(run.settings.training.seed * EPOCHS_A_SEED) if degraded else None
    bad: dict[Path, str] = {}
    read: list[Sample] = []
    found, margins = [], []
    engine = torch_engine(run.settings.recipe, model, run.dtype)
    with watching() as seen:
        for batch, logits in predict_batches(
            run.settings, run.console, engine, group.part_of(samples), label, run.decoded, change
        ):
            bad.update(faults_of(batch.bad))
            if batch.samples:
                found.append(seen.pop().cpu().numpy())
                margins.append((logits[:, 0] - logits[:, 1]).double().numpy())
                read += batch.samples
    parts = group.gather((found, margins, read, bad))
    arrays = [np.concatenate([array for part in parts for array in part[n]]) for n in range(2)]
    everything = tuple(sample for part in parts for sample in part[2])
    return _Seen(
        samples=everything,
        features=arrays[0],
        margins=arrays[1],
        bad=dict(ChainMap(*(part[3] for part in parts))),
    )


def _collect_both(
    run: Run, model: nn.Module, watching: Callable[[], Any], group: Group, label: str
) -> _Seen:
    """_collect on training samples as they are and degraded, one after the other."""
    drawn = draw_places(run.train_samples, MOST_FITTED, run.settings.training.seed)
    samples = [run.train_samples[place] for place in drawn]
    clean, degraded = (
        _collect(run, model, watching, group, samples, f"{label}, {name}", name == "degraded")
        for name in ("clean", "degraded")
    )
    return _Seen(
        samples=clean.samples + degraded.samples,
        features=np.concatenate([clean.features, degraded.features]),
        margins=np.concatenate([clean.margins, degraded.margins]),
        bad=clean.bad | degraded.bad,
    )


def _weights_of(run: Run, seen: _Seen) -> np.ndarray | None:
    """A weight (N,) for each sample of a fit, as training is balanced; None where all have the same."""
    balance = run.settings.training.balance
    return None if balance == UNBALANCED else weigh(seen.samples, balance)


def fit_head(run: Run, label: str) -> tuple[float, dict[Path, str]]:
    """The first epoch: fit the head on the pretrained features of clean and degraded pictures.

    Returns:
        The mean training loss and the unreadable files with the reasons.
    """
    head = find_head(run.model)
    seen = _collect_both(run, run.model, lambda: _watch_input(head), run.group, f"{label}, head")
    is_fake, sizes = seen.is_fake, _weights_of(run, seen)
    if not 0 < is_fake.sum() < len(is_fake):
        raise UserError("The training pictures are all of one class. Train with more pictures.")
    weights, bias = run.group.gather(fit_line(seen.features, is_fake, HEAD_STRENGTH, sizes))[0]
    set_head(head, weights, bias)
    if run.average is not None:
        run.average.update_parameters(run.model)
    margins = torch.from_numpy(seen.features @ weights + bias)
    target = torch.from_numpy(is_fake.astype(np.float64))
    of_each = None if sizes is None else torch.from_numpy(sizes)
    return float(functional.binary_cross_entropy_with_logits(margins, target, of_each)), seen.bad


def fit_vote(run: Run, model: nn.Module, checkpoint_hash: str) -> TextureVote:
    """Fit the texture's vote for a trained model, weighed on the validation pictures."""
    layer, alone = early_layer(model), Group()
    seen = _collect_both(run, model, lambda: watch(model, layer), alone, "texture")
    weights, bias = fit_line(seen.features, seen.is_fake, TEXTURE_STRENGTH, _weights_of(run, seen))
    judged = _collect(
        run, model, lambda: watch(model, layer), alone, run.val_samples, "texture, validation", False
    )
    margins, is_fake = judged.margins, judged.is_fake
    votes = judged.features @ weights + bias
    model_scale, vote_scale = (float(values.std()) or 1.0 for values in (margins, votes))
    common = (margins / model_scale + votes / vote_scale) / 2
    temperature = fit_temperature(common, is_fake) if 0 < is_fake.sum() < len(is_fake) else 1.0
    return TextureVote(
        checkpoint=checkpoint_hash,
        layer=layer,
        weights=tuple(weights.tolist()),
        bias=bias,
        model_scale=model_scale,
        vote_scale=vote_scale,
        temperature=temperature,
    )


def average_of(model: nn.Module, steps_an_epoch: int) -> AveragedModel:
    """An exponential moving average of the model's weights and buffers, over about an epoch."""
    decay = 1 - 1 / max(10, steps_an_epoch)
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def find_head(model: nn.Module) -> nn.Linear:
    """The layer that gives the two logits.

    Raises:
        UserError: the model's last linear layer does not.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not layers or layers[-1].out_features != 2:
        raise UserError('recipe = "robust" needs a model with a linear head. Use recipe = "reference".')
    return layers[-1]


def fit_line(
    features: np.ndarray, is_fake: np.ndarray, strength: float, sizes: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Weights (D,) and bias of a logistic regression for fake, on features (N, D) as they are.

    Args:
        sizes: how much each sample counts (N,); all alike unless given.
    """
    # A second to import, which every training run by the reference's recipe would wait for.
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(features)
    line = LogisticRegression(C=strength, max_iter=5000).fit(scale.transform(features), is_fake, sizes)
    weights = line.coef_[0] / scale.scale_
    return weights, float(line.intercept_[0] - weights @ scale.mean_)


def set_head(head: nn.Linear, weights: np.ndarray, bias: float) -> None:
    """Make the head's two logits half of the line's margin each, with opposite signs."""
    with torch.no_grad():
        line = torch.from_numpy(weights).to(head.weight)
        head.weight.copy_(torch.stack([line / 2, -line / 2]))
        if head.bias is not None:
            head.bias.copy_(torch.tensor([bias / 2, -bias / 2]).to(head.bias))
