"""What timm knows of an architecture: whether it has it, the input of its weights, the sizes that it takes.

timm and torch take seconds to import; nothing does before it has to be asked. What it has said of inputs is
kept on the disk: the menu and `check` need not load it again.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from fakedetect.core.errors import UserError, did_you_mean, is_bug
from fakedetect.core.records.record import Positive, Record, read_record, write_record
from fakedetect.core.settings.model_input import BICUBIC, IMAGENET_MEAN, IMAGENET_STD, INTERPOLATIONS, SIZE
from fakedetect.core.settings.recipes import Input, Interpolation, Means, Stds

if TYPE_CHECKING:
    from torch import nn

InputT = TypeVar("InputT", bound=Input)

KNOWN_INPUTS_FILE = ".timm_inputs.json"
"""In the folder of the models' folders; it may be removed at any time."""

SIZE_STEP = 32
"""Pixels by which sizes are tried of a network without patches: most halve a picture five times."""


class PretrainedInput(Input, frozen=True, kw_only=True):
    """The input that published weights were made for; `size` is None where their pictures were oblong.

    `crop` is the share of a picture's side that their makers keep of it; fakedetect keeps all.
    """

    interpolation: Interpolation
    mean: Means
    std: Stds
    crop: Positive

    def fill(self, said: InputT) -> InputT:
        """What is said, and this in place of the rest; pictures of the reference's size are scaled as the
        reference scales them."""
        found = said.or_else(Input(size=self.size, mean=self.mean, std=self.std))
        return found if found.as_model_input() else found.or_else(self)


class KnownInputs(Record, frozen=True, kw_only=True):
    """What the version `timm` of it says, by architecture."""

    timm: str
    inputs: dict[str, PretrainedInput]


def check_architecture(architecture: str, place: str) -> None:
    """Refuse an architecture that timm does not have.

    Args:
        place: where it is named, for the message.

    Raises:
        UserError: with the nearest name that timm has.
    """
    import timm

    name, _, tag = architecture.partition(".")
    if not timm.is_model(name):
        # Hugging Face's hub has timm's weights at hf_hub:timm/resnet50.a1_in1k.
        bare = architecture.rpartition("/")[2]
        if bare != architecture and timm.is_model(bare.partition(".")[0]):
            raise UserError(
                f'{place}: timm knows {architecture!r} by its name alone. Write timm = "{bare}"'
            )
        near = did_you_mean(name, timm.list_models())
        raise UserError(
            f"{place}: timm has no model {architecture!r}{near}. Write one of timm.list_models()."
        )
    try:
        timm.get_pretrained_cfg(architecture)
    except RuntimeError:
        tags = [other.partition(".")[2] for other in timm.list_pretrained(f"{name}.*")]
        known = f"It has {', '.join(tags)}" if tags else f'Write timm = "{name}"'
        near = did_you_mean(tag, tags)
        raise UserError(f"{place}: timm has no weights {tag!r} for {name}{near}. {known}.") from None


def find_pretrained_input(architecture: str, place: str) -> PretrainedInput:
    """What timm says of an architecture's weights; the reference's input where it says nothing.

    Args:
        place: where the architecture is named, for the message.

    Raises:
        UserError: timm has no such model.
    """
    import timm

    check_architecture(architecture, place)
    said: Any = timm.get_pretrained_cfg(architecture)
    if said is None:
        return PretrainedInput(
            size=SIZE, interpolation=BICUBIC, mean=IMAGENET_MEAN, std=IMAGENET_STD, crop=1.0
        )
    height, width = said.input_size[1:]
    return PretrainedInput(
        size=height if height == width else None,
        interpolation=said.interpolation if said.interpolation in INTERPOLATIONS else BICUBIC,
        mean=said.mean,
        std=said.std,
        crop=said.crop_pct or 1.0,
    )


def _read_known(folder: Path) -> KnownInputs:
    """What is kept, if the timm that is installed has said it."""
    try:
        installed = version("timm")
    except PackageNotFoundError:
        installed = ""
    with suppress(UserError):
        found = read_record(folder / KNOWN_INPUTS_FILE, KnownInputs, "Remove it.")
        if found and found.timm == installed:
            return found
    return KnownInputs(timm=installed, inputs={})


def find_known_input(folder: Path, architecture: str) -> PretrainedInput | None:
    """What an earlier command has found out of an architecture; None where timm has to be asked.

    Args:
        folder: of the models' folders.
    """
    return _read_known(folder).inputs.get(architecture)


def look_up_input(folder: Path, architecture: str, place: str) -> PretrainedInput:
    """What timm says of an architecture, as it was kept or by asking it.

    Args:
        folder: of the models' folders.
        place: where the architecture is named, for the message.

    Raises:
        UserError: timm has no such model.
    """
    if known := find_known_input(folder, architecture):
        return known
    found = find_pretrained_input(architecture, place)
    kept = _read_known(folder)
    # Where nothing may be written, timm is asked each time.
    with suppress(UserError):
        inputs = {**kept.inputs, architecture: found}
        write_record(folder / KNOWN_INPUTS_FILE, msgspec.structs.replace(kept, inputs=inputs))
    return found


def find_size_arguments(architecture: str, size: int, place: str) -> dict[str, Any]:
    """What timm.create_model has to be told, beside the name, for a network that takes pictures of a size.

    A network that takes any is built as its weights have it. Others are built for the size, and timm fits
    the position embeddings of pretrained weights to it.

    Args:
        place: where the size or the architecture is named, for the message.

    Raises:
        UserError: it takes no pictures of that size; with sizes near that it takes, if there are any.
    """
    arguments = _try_size(architecture, size)
    if arguments is not None:
        return arguments
    step = _find_step(architecture)
    near = {
        size // step * step,
        -(-size // step) * step,
        find_pretrained_input(architecture, place).size or 0,
    }
    tried = sorted(near - {0, size})
    works = [str(other) for other in tried if _try_size(architecture, other) is not None]
    said = f"{place}: {architecture} does not accept pictures of {size} x {size} pixels"
    if not works:
        sizes = f", nor of {' or '.join(map(str, tried))} pixels a side" if tried else ""
        raise UserError(f"{said}{sizes}. Choose another model of timm.")
    raise UserError(f"{said}. Nearby sizes that work: size = {' or '.join(works)}")


@cache
def _try_size(architecture: str, size: int) -> dict[str, Any] | None:
    """The arguments with which a network takes pictures of a size; None for none.

    Tensors without values try it in a fraction of a second.
    """
    import timm

    config = timm.get_pretrained_cfg(architecture)
    if config is None or tuple(config.input_size[1:]) == (size, size):
        return {}
    if _runs(architecture, size):
        return {}
    # timm's word for a network that takes img_size.
    if config.fixed_input_size and _runs(architecture, size, img_size=size):
        return {"img_size": size}
    return None


def _runs(architecture: str, size: int, **arguments: Any) -> bool:
    import timm
    import torch

    # A seed that was set before gives the same weights whether a size was tried or not.
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        try:
            model = timm.create_model(architecture, **arguments).eval()
            if any(size % patch for patch in _patches(model)):
                # Built for that size it would leave the rest at the border unseen.
                return False
            model(torch.zeros(1, 3, size, size))
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if is_bug(error):
                raise
            return False
    return True


def _patches(model: "nn.Module") -> Iterator[int]:
    """The sides of the patches that a network cuts pictures into."""
    from timm.layers import PatchEmbed

    for layer in model.modules():
        if isinstance(layer, PatchEmbed):
            yield layer.patch_size[0]


def _find_step(architecture: str) -> int:
    import timm
    import torch

    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return next(_patches(timm.create_model(architecture)), SIZE_STEP)
