"""When the layers that mixed precision trains on a CPU work in their leaner ways."""

import torch


def trains_mixed(x: torch.Tensor) -> bool:
    """Whether a layer with this input is trained on a CPU, in bfloat16 where torch thinks that fit."""
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
