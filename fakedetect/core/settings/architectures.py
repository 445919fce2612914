"""Architectures of timm: whether one exists, the input of its weights, the sizes that it accepts.

timm and torch take seconds to import, so they are imported only when necessary. Inputs that were looked up
are cached on disk: the menu and `check` need not import timm again.
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
"""In the folder of the models' folders; it may be deleted at any time."""

SIZE_STEP = 32
"""Pixels between the sizes tried for a network without patches: most networks halve a picture five
times."""


class PretrainedInput(Input, frozen=True, kw_only=True):
    """The input for which published weights were trained; `size` is None if it is not square.

    `crop` is the share of a picture's side that their authors keep; fakedetect keeps all.
    """

    interpolation: Interpolation
    mean: Means
    std: Stds
    crop: Positive

    def fill(self, given: InputT) -> InputT:
        """Return `given` with its gaps filled from this; pictures of the reference's size are scaled as
        in the reference."""
        found = given.or_else(Input(size=self.size, mean=self.mean, std=self.std))
        return found if found.as_model_input() else found.or_else(self)


class KnownInputs(Record, frozen=True, kw_only=True):
    """The inputs reported by version `timm` of timm, by architecture."""

    timm: str
    inputs: dict[str, PretrainedInput]


def check_architecture(architecture: str, place: str) -> None:
    """Raise an error for an architecture that timm does not have.

    Args:
        place: where it is named, for the message.

    Raises:
        UserError: with the nearest name that timm has.
    """
    import timm

    name, _, tag = architecture.partition(".")
    if not timm.is_model(name):
        # On the Hugging Face Hub, timm's weights are at hf_hub:timm/resnet50.a1_in1k.
        bare = architecture.rpartition("/")[2]
        if bare != architecture and timm.is_model(bare.partition(".")[0]):
            raise UserError(f'{place}: timm lists {architecture!r} without a prefix. Write timm = "{bare}"')
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
    """Return timm's input for an architecture's weights, or the reference's input.

    Args:
        place: where the architecture is named, for the message.

    Raises:
        UserError: timm has no such model.
    """
    import timm

    check_architecture(architecture, place)
    config: Any = timm.get_pretrained_cfg(architecture)
    if config is None:
        return PretrainedInput(
            size=SIZE, interpolation=BICUBIC, mean=IMAGENET_MEAN, std=IMAGENET_STD, crop=1.0
        )
    height, width = config.input_size[1:]
    return PretrainedInput(
        size=height if height == width else None,
        interpolation=config.interpolation if config.interpolation in INTERPOLATIONS else BICUBIC,
        mean=config.mean,
        std=config.std,
        crop=config.crop_pct or 1.0,
    )


def _read_known(folder: Path) -> KnownInputs:
    """Read the cached inputs, if they are from the installed version of timm."""
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
    """Return the cached input of an architecture; None if timm must be imported.

    Args:
        folder: the folder of the models' folders.
    """
    return _read_known(folder).inputs.get(architecture)


def look_up_input(folder: Path, architecture: str, place: str) -> PretrainedInput:
    """Return an architecture's input, from the cache or from timm.

    Args:
        folder: the folder of the models' folders.
        place: where the architecture is named, for the message.

    Raises:
        UserError: timm has no such model.
    """
    if known := find_known_input(folder, architecture):
        return known
    found = find_pretrained_input(architecture, place)
    kept = _read_known(folder)
    # Without write permission, timm is imported each time.
    with suppress(UserError):
        inputs = {**kept.inputs, architecture: found}
        write_record(folder / KNOWN_INPUTS_FILE, msgspec.structs.replace(kept, inputs=inputs))
    return found


def find_size_arguments(architecture: str, size: int, place: str) -> dict[str, Any]:
    """Return the arguments of timm.create_model, except the name, for pictures of a size.

    A network that accepts any size is built as its weights define it. Others are built for the size, and
    timm resamples the position embeddings of pretrained weights.

    Args:
        place: where the size or the architecture is named, for the message.

    Raises:
        UserError: it does not accept that size; the message names nearby sizes that it accepts.
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
    problem = f"{place}: {architecture} does not accept pictures of {size} x {size} pixels"
    if not works:
        sizes = f", nor of {' or '.join(map(str, tried))} pixels a side" if tried else ""
        raise UserError(f"{problem}{sizes}. Choose another model of timm.")
    raise UserError(f"{problem}. Nearby sizes that work: size = {' or '.join(works)}")


@cache
def _try_size(architecture: str, size: int) -> dict[str, Any] | None:
    """Return the arguments with which a network accepts a size; None if it does not.

    Meta tensors, which have no values, make this take a fraction of a second.
    """
    import timm

    config = timm.get_pretrained_cfg(architecture)
    if config is None or tuple(config.input_size[1:]) == (size, size):
        return {}
    if _runs(architecture, size):
        return {}
    # In timm, only such networks accept img_size.
    if config.fixed_input_size and _runs(architecture, size, img_size=size):
        return {"img_size": size}
    return None


def _runs(architecture: str, size: int, **arguments: Any) -> bool:
    import timm
    import torch

    # Trying a size must not change the random state.
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        try:
            model = timm.create_model(architecture, **arguments).eval()
            if any(size % patch for patch in _patches(model)):
                # The network would ignore the remaining pixels at the border.
                return False
            model(torch.zeros(1, 3, size, size))
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if is_bug(error):
                raise
            return False
    return True


def _patches(model: "nn.Module") -> Iterator[int]:
    """Yield the sides of the patches into which a network divides pictures."""
    from timm.layers import PatchEmbed

    for layer in model.modules():
        if isinstance(layer, PatchEmbed):
            yield layer.patch_size[0]


def _find_step(architecture: str) -> int:
    import timm
    import torch

    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return next(_patches(timm.create_model(architecture)), SIZE_STEP)
