"""A torch network converted for OpenVINO, once for each checkpoint, and which of the two computes."""

import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from fakedetect.core.derived import remove_least_recent
from fakedetect.core.errors import UserError, is_own_import
from fakedetect.core.files import copy_file
from fakedetect.core.installation import install_command
from fakedetect.core.records.record import write_record
from fakedetect.core.settings.model_folder import NETWORK, OPENVINO_CACHE
from fakedetect.core.settings.recipes import Recipe
from fakedetect.core.settings.settings import OPENVINO_ENGINE, Settings
from fakedetect.core.terminal.console import Console
from fakedetect.models.devices import Normaliser, choose_precision, torch_engine
from fakedetect.models.openvino.engine import (
    Engine,
    compile_network,
    hash_network,
    import_openvino,
    made_of,
    network_folder,
    openvino_core,
    openvino_engine,
    read_network,
    takes_bf16,
    wants_openvino,
)
from fakedetect.models.probe.classifier import Line
from fakedetect.models.probe.model import Probe, draw_test_pictures

MOST_APART = 1e-3
"""How far OpenVINO's float32 may be from torch's, relative to the largest logit; rounding gives 1e-6."""

LARGEST = 1024**3
"""Bytes of weights; a larger network is converted each time."""

TRIED = 4
"""Pictures that both compute, before OpenVINO's answers are believed."""


class _CannotRun(Exception):
    """OpenVINO refuses a network, or computes something else than torch."""


def choose_engine(settings: Settings, console: Console, model: nn.Module, checkpoint: str = "") -> Engine:
    """The engine for a model on its device, in evaluation mode, as `engine` under [inference] asks.

    OpenVINO computes in bfloat16 where the CPU has it, unless `precision` says otherwise.

    Args:
        checkpoint: the hash of what the chosen model was loaded from, to keep its network; '' not to.

    Raises:
        UserError: bf16 was asked for on a device that cannot do it.
    """
    if wants_openvino(settings) and next(model.parameters()).device.type == "cpu":
        try:
            return _converted_engine(settings, model, checkpoint)
        except ImportError as error:
            if is_own_import(error):
                raise
            if settings.inference.engine == OPENVINO_ENGINE:
                how = install_command("openvino")
                console.warn(f"openvino is not installed; using torch. To install it: {how}")
        except _CannotRun as error:
            console.warn(f"OpenVINO cannot run {settings.model}; using torch: {error}")
    return torch_engine(settings.recipe, model, choose_precision(settings, model))


def _converted_engine(settings: Settings, model: nn.Module, checkpoint: str) -> Engine:
    """OpenVINO's engine for a model.

    Raises:
        ImportError: OpenVINO is not installed.
        _CannotRun: it has a layer that OpenVINO does not know, or gives other answers there.
    """
    # First, for it keeps the telemetry out.
    openvino = import_openvino()
    from openvino.frontend import OpConversionFailure

    core = openvino_core()
    network, line = (model.backbone, model.line) if isinstance(model, Probe) else (model, None)
    found, key = None, ""
    if checkpoint:
        key = made_of(settings, checkpoint, openvino.__version__)
        found = read_network(core, settings, key, line)
    try:
        if found is None:
            found = _convert(openvino, settings.recipe, network)
            _compare(core, found, settings.recipe, network, line)
            if checkpoint:
                _write_network(openvino, found, key)
        return openvino_engine(core, found, takes_bf16(settings), line)
    except (OpConversionFailure, RuntimeError) as error:
        # OpenVINO's own words end in advice; what failed stands above it.
        cause = error.__cause__ or error
        reasons = [line.strip() for line in str(cause).splitlines() if line.strip()]
        named = [reason for reason in reasons if "No conversion rule" in reason]
        raise _CannotRun((named or reasons or [type(cause).__name__])[0]) from None


def _convert(openvino: ModuleType, recipe: Recipe, network: nn.Module) -> Any:
    """A torch network as OpenVINO's: images (B, S, S, 3) uint8 -> outputs (B, D) float32."""
    from openvino.preprocess import PrePostProcessor

    with torch.inference_mode(), warnings.catch_warnings():
        # torch's tracer warns of every assertion about shapes.
        warnings.simplefilter("ignore")
        size = recipe.input.size
        example = torch.zeros(2, 3, size, size)
        found = openvino.convert_model(network, example_input=example, input=[-1, 3, size, size])
    steps = PrePostProcessor(found)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    change = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    mean, std = ([255 * value for value in values] for values in (recipe.input.mean, recipe.input.std))
    change.mean(mean).scale(std)
    return steps.build()


def _compare(core: Any, found: Any, recipe: Recipe, network: nn.Module, line: Line | None) -> None:
    """Ask both about made-up pictures, in float32.

    Raises:
        _CannotRun: their answers differ by more than rounding.
    """
    pictures = draw_test_pictures(recipe.input.size, TRIED)
    with torch.inference_mode():
        normalised = Normaliser(recipe, torch.device("cpu"))(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        wanted = network(normalised).float().numpy()
    got = compile_network(core, found, bf16=False)(pictures)[0]
    if got.shape != wanted.shape:
        raise _CannotRun(f"its outputs have shape {got.shape}, torch's {wanted.shape}")
    if line:
        got, wanted = line.judge(got), line.judge(wanted)
    apart = np.abs(got - wanted).max() / max(1.0, float(np.abs(wanted).max()))
    if not apart <= MOST_APART:
        raise _CannotRun(f"its outputs differ from torch's by {apart:.1e}")


def _write_network(openvino: ModuleType, network: Any, key: str) -> None:
    """Keep a network that is made of this.

    Where nothing may be written it is converted each time.
    """
    constants = (node for node in network.get_ops() if node.get_type_name() == "Constant")
    if sum(node.data.nbytes for node in constants) > LARGEST:
        return
    folder = network_folder(key)
    with suppress(OSError, UserError):
        write_ir(openvino, network, folder / NETWORK)
        write_record(folder / OPENVINO_CACHE, hash_network(folder, key))
        remove_least_recent()


def write_ir(openvino: ModuleType, network: Any, path: Path) -> None:
    """Write a network in float32 as an .xml and its weights as a .bin beside it, each whole or not at all.

    Raises:
        UserError: the folder cannot be written to, or a disk is full.
    """
    try:
        with tempfile.TemporaryDirectory() as made:
            file = Path(made) / path.name
            openvino.save_model(network, file, compress_to_fp16=False)
            # The weights first: a network without them cannot be read.
            for suffix in (".bin", ".xml"):
                copy_file(file.with_suffix(suffix), path.with_suffix(suffix))
    except (OSError, RuntimeError) as error:
        raise UserError(f"Cannot write {path}: {error}. Check the disk and the permissions.") from None
