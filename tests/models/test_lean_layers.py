"""Layers that mixed precision computes in another order: the same function with the same gradients."""

import copy

import pytest
import torch
from timm.layers.grn import GlobalResponseNorm
from timm.layers.mlp import GlobalResponseNormMlp
from torch import nn

from fakedetect.models.cpu_training.lean_layers import speed_up_layers


def results(layer: nn.Module, values: torch.Tensor, mixed: bool) -> list[torch.Tensor]:
    """The layer's answer, and the gradients of values and weights for a made-up loss."""
    torch.manual_seed(3)
    values = values.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        answer = layer(values.bfloat16() if mixed else values)
    loss = (answer.float() * torch.randn(answer.shape)).sum()
    return [answer.float(), *torch.autograd.grad(loss, [values, *layer.parameters()])]


def same(lean: list[torch.Tensor], plain: list[torch.Tensor], share: float) -> bool:
    """Whether each differs by less than a share of its size."""
    return all(
        one.shape == other.shape and (one - other).norm() <= share * other.norm()
        for one, other in zip(lean, plain, strict=True)
    )


@pytest.mark.parametrize("channels_last", [True, False])
def test_response_norm(channels_last: bool) -> None:
    torch.manual_seed(2)
    plain = GlobalResponseNorm(24, channels_last=channels_last)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    lean = speed_up_layers(copy.deepcopy(plain))
    values = torch.randn((3, 7, 7, 24) if channels_last else (3, 24, 7, 7))
    assert same(results(lean, values, mixed=False), results(plain, values, mixed=False), 0.0)
    assert same(results(lean, values, mixed=True), results(plain, values, mixed=False), 0.01)


@pytest.mark.parametrize("side", [3, 9])
def test_response_norm_with_the_layer_behind_it(side: int) -> None:
    torch.manual_seed(2)
    plain = GlobalResponseNormMlp(16, 64)
    nn.init.normal_(plain.grn.weight)
    nn.init.normal_(plain.grn.bias)
    lean = speed_up_layers(copy.deepcopy(plain))
    values = torch.randn(3, side, side, 16)
    assert same(results(lean, values, mixed=False), results(plain, values, mixed=False), 0.0)
    assert same(results(lean, values, mixed=True), results(plain, values, mixed=False), 0.01)
    assert set(lean.state_dict()) == set(plain.state_dict())
    # An empty map has no size to be divided by.
    silent = speed_up_layers(GlobalResponseNormMlp(16, 64, act_layer=nn.ReLU))
    nn.init.constant_(silent.fc1.bias, -9.0)
    assert all(part.isfinite().all() for part in results(silent, values, mixed=True))


def test_response_norm_of_an_empty_map() -> None:
    lean = speed_up_layers(GlobalResponseNorm(8))
    assert all(part.isfinite().all() for part in results(lean, torch.zeros(2, 5, 5, 8), mixed=True))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
@pytest.mark.parametrize("kernel", [5, 7, (3, 5), 8])
def test_depthwise(kernel: int | tuple[int, int], stride: int | tuple[int, int], bias: bool) -> None:
    torch.manual_seed(2)
    plain = nn.Conv2d(32, 32, kernel, stride, padding=2, groups=32, bias=bias)
    lean = speed_up_layers(copy.deepcopy(plain))
    assert type(lean) is not nn.Conv2d
    values = torch.randn(2, 32, 13, 14)
    assert same(results(lean, values, mixed=False), results(plain, values, mixed=False), 0.0)
    assert same(results(lean, values, mixed=True), results(plain, values, mixed=False), 0.01)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 16, 5, groups=8),
        nn.Conv2d(8, 8, 5, groups=4),
        nn.Conv2d(8, 8, 5, groups=8, dilation=2),
        nn.Conv2d(8, 8, 5, groups=8, padding="same"),
        nn.Conv2d(8, 8, 5, groups=8, padding=2, padding_mode="reflect"),
    ],
)
def test_other_convolutions_stay_torch_s_own(layer: nn.Module) -> None:
    assert type(speed_up_layers(layer)) is nn.Conv2d


def test_frozen_weights_learn_nothing() -> None:
    layer = speed_up_layers(nn.Conv2d(8, 8, 5, groups=8))
    layer.weight.requires_grad_(False)
    values = torch.randn(1, 8, 9, 9, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(values).float().sum().backward()
    assert layer.weight.grad is None and values.grad is not None
