"""The robust recipe: what it adds to the reference's way of training.

- Its first epoch fits the head alone on the pretrained features, by logistic regression: fine-tuning
  that starts from there distorts them less (Kumar et al. 2022, 'Fine-Tuning can Distort Pretrained
  Features and Underperform Out-of-Distribution').
- In the further epochs every training picture is degraded at random (augmentation.py), the learning
  rate follows a cosine with a warm-up (Loshchilov and Hutter 2017), and the weights are averaged over
  about an epoch (Polyak and Juditsky 1992).
- At the end an early layer's texture statistics get a vote of their own (texture.py).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fakedetect.augmentation import degrade_at_random, random_for
from fakedetect.dataset import Change, Sample
from fakedetect.errors import UserError

WARM_UP = 0.1
STRENGTH = 0.01
"""scikit-learn's C of the head's logistic regression."""

MOST_FITTED = 10_000
"""Training pictures that a logistic regression is fitted on."""


def degrade_with(seed: int) -> Change:
    """A change that degrades every picture in a way of its own, which the seed decides."""

    def change(pixels: np.ndarray, sample: Sample) -> np.ndarray:
        return degrade_at_random(pixels, random_for(seed, sample.path.name))

    return change


def rate_factor(step: int, steps: int) -> float:
    """What the learning rate is multiplied by in a step (from 0) of so many."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


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
        raise UserError('This model has no linear head, which recipe = "robust" needs. Use "reference".')
    return layers[-1]


def some_of(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """At most MOST_FITTED of the samples, in random order."""
    order = np.random.default_rng(seed).permutation(len(samples))[:MOST_FITTED]
    return [samples[number] for number in order]


def fit_line(features: np.ndarray, is_fake: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    """Weights (D,) and bias of a logistic regression for fake, on features (N, D) as they are."""
    scale = StandardScaler().fit(features)
    line = LogisticRegression(C=strength, max_iter=5000).fit(scale.transform(features), is_fake)
    weights = line.coef_[0] / scale.scale_
    return weights, float(line.intercept_[0] - weights @ scale.mean_)


def set_head(head: nn.Linear, weights: np.ndarray, bias: float) -> None:
    """Make the head's two logits half of the line's margin each, with opposite signs."""
    with torch.no_grad():
        line = torch.from_numpy(weights).to(head.weight)
        head.weight.copy_(torch.stack([line / 2, -line / 2]))
        if head.bias is not None:
            head.bias.copy_(torch.tensor([bias / 2, -bias / 2]).to(head.bias))
