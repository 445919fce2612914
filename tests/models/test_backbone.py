"""What a probe reads of a picture: of maps the mean, deviation and covariances of their channels."""

import numpy as np
import pytest
import timm
import torch

from fakedetect.models.probe.backbone import DIRECTION_COUNT, Backbone

SIDE = 64


def test_of_a_map_mean_deviation_and_covariances_are_read() -> None:
    torch.manual_seed(1)
    network = timm.create_model("test_efficientnet", num_classes=0).eval()
    backbone = Backbone(network, SIDE).eval()
    images = torch.randn(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        features = backbone(images).numpy()
        maps = network.forward_intermediates(images, intermediates_only=True)
    assert features.shape == (3, backbone.width)
    at, wide = 0, 0
    for stage in maps:
        values = stage.flatten(2).numpy()
        channels = values.shape[1]
        mixed = values
        if channels > DIRECTION_COUNT:
            wide += 1
            mixed = backbone.get_buffer(f"directions_{channels}").numpy() @ values
        pairs = np.triu_indices(mixed.shape[1])
        for expected in (
            values.mean(2),
            np.sqrt(values.var(2) + 1e-6),
            np.stack([np.cov(picture, bias=True)[pairs] for picture in mixed]),
        ):
            part = features[:, at : at + expected.shape[1]]
            expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
            np.testing.assert_allclose(part, expected, atol=1e-4)
            at += expected.shape[1]
    assert at == backbone.width and wide


def test_the_mixtures_of_channels_are_the_same_everywhere() -> None:
    """A probe's file does not hold them: other ones would make its line worthless."""
    network = timm.create_model("test_efficientnet", num_classes=0).eval()
    first, second = (Backbone(network, SIDE) for _ in range(2))
    names = [name for name, _ in first.named_buffers() if name.startswith("directions_")]
    assert names
    for name in names:
        drawn = first.get_buffer(name)
        assert torch.equal(drawn, second.get_buffer(name))
        torch.testing.assert_close(drawn @ drawn.T, torch.eye(DIRECTION_COUNT))
    beginning = first.get_buffer("directions_64")[0, :8].tolist()
    assert beginning == pytest.approx([-0.125, 0.125, 0.125, -0.125, 0.125, -0.125, 0.125, 0.125], abs=1e-3)
    assert not any("directions_" in name for name in first.state_dict())


@pytest.mark.parametrize(("architecture", "has_class_token"), [("test_vit", True), ("test_vit3", False)])
def test_of_a_block_the_class_token_is_read_or_all_tokens(architecture: str, has_class_token: bool) -> None:
    torch.manual_seed(1)
    network = timm.create_model(architecture, num_classes=0, img_size=SIDE).eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        small, large = (Backbone(network, SIDE, tokens=tokens).eval() for tokens in ("class", "all"))
        blocks = network.forward_intermediates(
            images, intermediates_only=True, return_prefix_tokens=True, output_fmt="NLC"
        )
        class_tokens, all_tokens = small(images).unflatten(1, (len(blocks), -1)), large(images)
    patches, prefix = blocks[-1]
    wanted = prefix[:, 0] if has_class_token else patches.mean(1)
    torch.testing.assert_close(class_tokens[:, -1], torch.nn.functional.normalize(wanted, dim=1))
    assert all_tokens.shape[1] == (3 if has_class_token else 2) * small.width


def test_squares_side_by_side_give_their_features_side_by_side() -> None:
    torch.manual_seed(1)
    backbone = Backbone(timm.create_model("test_vit", num_classes=0, img_size=SIDE).eval(), SIDE).eval()
    left, right = torch.randn(2, 3, 3, SIDE, SIDE)
    with torch.inference_mode():
        both = backbone(torch.cat([left, right], dim=3))
        torch.testing.assert_close(both, torch.cat([backbone(left), backbone(right)], dim=1))
