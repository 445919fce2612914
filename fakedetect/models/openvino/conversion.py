"""Convert a torch network for OpenVINO, once per checkpoint, and choose between the two engines."""

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
from fakedetect.core.settings.recipes import CLASSES, Recipe
from fakedetect.core.settings.settings import OPENVINO_ENGINE, Settings
from fakedetect.core.terminal.console import Console
from fakedetect.models.devices import Normaliser, choose_precision, make_torch_engine
from fakedetect.models.openvino.engine import (
    Engine,
    compile_network,
    hash_network_files,
    import_openvino,
    make_openvino_engine,
    network_cache_key,
    network_folder,
    openvino_core,
    read_cached_network,
    uses_bf16,
    wants_openvino,
)
from fakedetect.models.probe.classifier import LinearClassifier
from fakedetect.models.probe.model import Probe, draw_test_pictures

MOST_OUTPUT_DIFFERENCE = 1e-3
"""Largest difference between OpenVINO's and torch's float32 outputs, relative to the largest output.
Rounding causes 1e-6."""

LARGEST_CACHED_BYTES = 1024**3
"""Bytes of weights. A larger network is converted in each run."""

COMPARED_PICTURE_COUNT = 4
"""Pictures on which OpenVINO's outputs are compared with torch's."""


class _CannotRun(Exception):
    """OpenVINO rejects a network, or its outputs differ from torch's."""


def choose_engine(settings: Settings, console: Console, model: nn.Module, checkpoint: str = "") -> Engine:
    """Choose the engine for a model on its device, in evaluation mode, by `engine` under [inference].

    OpenVINO computes in bfloat16 if the CPU supports it, unless `precision` is set otherwise.

    Args:
        checkpoint: the hash of the chosen model's checkpoint, to cache the network; '' disables the cache.

    Raises:
        UserError: bf16 is set, but the device does not support it.
    """
    if wants_openvino(settings) and next(model.parameters()).device.type == "cpu":
        try:
            return _make_openvino_engine(settings, model, checkpoint)
        except ImportError as error:
            if is_own_import(error):
                raise
            if settings.inference.engine == OPENVINO_ENGINE:
                how = install_command("openvino")
                console.warn(f"openvino is not installed; using torch. To install it: {how}")
        except _CannotRun as error:
            console.warn(f"OpenVINO cannot run {settings.model}; using torch: {error}")
    return make_torch_engine(settings.recipe, model, choose_precision(settings, model))


def _make_openvino_engine(settings: Settings, model: nn.Module, checkpoint: str) -> Engine:
    """Return OpenVINO's engine for a model.

    Raises:
        ImportError: OpenVINO is not installed.
        _CannotRun: OpenVINO does not support a layer, or its outputs differ from torch's.
    """
    # First: this import disables the telemetry.
    openvino = import_openvino()
    from openvino.frontend import OpConversionFailure

    core = openvino_core()
    network, classifier = (model.backbone, model.classifier) if isinstance(model, Probe) else (model, None)
    found, key = None, ""
    if checkpoint:
        key = network_cache_key(settings, checkpoint, openvino.__version__)
        width = model.backbone.width if isinstance(model, Probe) else len(CLASSES)
        found = read_cached_network(core, settings, key, width)
    try:
        if found is None:
            found = _convert(openvino, settings.recipe, network)
            _check_parity(core, found, settings.recipe, network, classifier)
            if checkpoint:
                _write_network(openvino, found, key)
        return make_openvino_engine(core, found, uses_bf16(settings), classifier)
    except (OpConversionFailure, RuntimeError) as error:
        # The error is above the advice at the end of OpenVINO's message.
        cause = error.__cause__ or error
        reasons = [line.strip() for line in str(cause).splitlines() if line.strip()]
        named = [reason for reason in reasons if "No conversion rule" in reason]
        raise _CannotRun((named or reasons or [type(cause).__name__])[0]) from None


def _convert(openvino: ModuleType, recipe: Recipe, network: nn.Module) -> Any:
    """Convert a torch network for OpenVINO: images (B, S, S, 3) uint8 -> outputs (B, D) float32."""
    from openvino.preprocess import PrePostProcessor

    with torch.inference_mode(), warnings.catch_warnings():
        # torch's tracer warns about every assertion on shapes.
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


def _check_parity(
    core: Any, found: Any, recipe: Recipe, network: nn.Module, classifier: LinearClassifier | None
) -> None:
    """Compare both on made-up pictures, in float32.

    Raises:
        _CannotRun: their outputs differ by more than rounding.
    """
    pictures = draw_test_pictures(recipe.input.size, COMPARED_PICTURE_COUNT)
    with torch.inference_mode():
        normalised = Normaliser(recipe, torch.device("cpu"))(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        wanted = network(normalised).float().numpy()
    got = compile_network(core, found, bf16=False)(pictures)[0]
    if got.shape != wanted.shape:
        raise _CannotRun(f"its outputs have shape {got.shape}, torch's {wanted.shape}")
    if classifier:
        squares = classifier.weights.size // got.shape[1]
        got, wanted = (classifier.predict(np.tile(outputs, squares)) for outputs in (got, wanted))
    difference = np.abs(got - wanted).max() / max(1.0, float(np.abs(wanted).max()))
    if not difference <= MOST_OUTPUT_DIFFERENCE:
        raise _CannotRun(f"its outputs differ from torch's by {difference:.1e}")


def _write_network(openvino: ModuleType, network: Any, key: str) -> None:
    """Write a network to the cache. If nothing can be written, each run converts it."""
    constants = (node for node in network.get_ops() if node.get_type_name() == "Constant")
    if sum(node.data.nbytes for node in constants) > LARGEST_CACHED_BYTES:
        return
    folder = network_folder(key)
    with suppress(OSError, UserError):
        write_ir(openvino, network, folder / NETWORK)
        write_record(folder / OPENVINO_CACHE, hash_network_files(folder, key))
        remove_least_recent()


def write_ir(openvino: ModuleType, network: Any, path: Path) -> None:
    """Write a network in float32 as an .xml, and its weights as a .bin of the same name, both atomically.

    Raises:
        UserError: the folder is not writable, or the disk is full.
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
