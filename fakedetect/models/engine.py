"""What computes a model's answers: torch, or OpenVINO, which is several times as fast on a CPU.

Training, heat maps and GPUs stay torch's. OpenVINO gets the network as torch built it, once for each
checkpoint: what it makes of it is kept beside the checkpoint (engine_cache.py).
"""

import platform
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from fakedetect.core.console import Console
from fakedetect.core.recipes import SIZE, Recipe
from fakedetect.core.settings import AUTO, OPENVINO, Settings
from fakedetect.models.devices import Engine, Normaliser, choose_precision, cpu_has_bf16, torch_engine
from fakedetect.models.engine_cache import read_network, write_network
from fakedetect.models.probe import Probe, draw_test_pictures

PLATFORMS = ("x86_64", "amd64")
"""Where OpenVINO is known to be the faster one: python -m benchmarks engine."""

MOST_APART = 1e-3
"""How far OpenVINO's float32 may be from torch's, relative to the largest output; rounding gives 1e-6."""

TRIED = 4
"""Pictures that both compute, before OpenVINO's answers are believed."""


def choose_engine(
    settings: Settings, console: Console, model: nn.Module, cache: Path | None = None, checkpoint: str = ""
) -> Engine:
    """The engine for a model on its device, in evaluation mode, as `engine` under [inference] asks.

    'auto' takes OpenVINO on the CPUs of PLATFORMS where it is installed, in bfloat16 where they have it.

    Args:
        cache: the model's folder, where OpenVINO's network is kept; None not to.
        checkpoint: the hash of what the model was loaded from.

    Raises:
        UserError: bf16 was asked for on a device that cannot do it.
    """
    device = next(model.parameters()).device.type
    asked = settings.inference.engine
    wanted = asked == OPENVINO or (asked == AUTO and platform.machine().lower() in PLATFORMS)
    if wanted and device == "cpu":
        try:
            return _openvino_engine(settings, model, cache, checkpoint)
        except ImportError:
            if asked == OPENVINO:
                console.warn("openvino is not installed, so torch answers: pip install openvino")
        except _CannotRun as error:
            console.warn(f"OpenVINO cannot run {settings.model}, so torch does: {error}")
    return torch_engine(settings.recipe, model, choose_precision(settings.training.precision, model))


class _CannotRun(Exception):
    """OpenVINO refuses a network, or computes something else than torch."""


def _import_openvino() -> ModuleType:
    """OpenVINO without its telemetry, which reports to Google each time that it is imported.

    Raises:
        ImportError: it is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _openvino_engine(settings: Settings, model: nn.Module, cache: Path | None, checkpoint: str) -> Engine:
    openvino = _import_openvino()
    # A line on standardised features is no work, and bfloat16 would spoil it.
    network, finish = model, None
    if isinstance(model, Probe):
        network, finish = model.backbone, model.judge
        checkpoint = f"{checkpoint} {model.weights_hash}"
    precision = settings.training.precision
    bf16 = precision == "bf16" or (precision == AUTO and cpu_has_bf16())
    core = openvino.Core()
    key = f"{checkpoint} {openvino.__version__} {settings.recipe.mean} {settings.recipe.std}"
    found = read_network(core, cache, key) if cache else None
    if found is None:
        found = _convert(openvino, core, settings.recipe, network)
        if cache:
            write_network(openvino, found, cache, key)
    compiled = _compile(core, found, bf16)
    request = compiled.create_infer_request()

    def run(images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        # The request's memory is filled anew by the next batch.
        outputs = torch.from_numpy(request.infer([pixels], share_inputs=True)[0].copy())
        if finish is None:
            return outputs
        with torch.inference_mode():
            return finish(outputs)

    return Engine(f"OpenVINO {'bfloat16' if bf16 else 'float32'}", run)


def _compile(core: Any, network: Any, bf16: bool) -> Any:
    """A network ready to run on the CPU, with as many threads as torch would take."""
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # The system shares the cores between these threads and the processes that decode.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(network, "CPU", options)


def _convert(openvino: ModuleType, core: Any, recipe: Recipe, network: nn.Module) -> Any:
    """A torch network as OpenVINO's: images (B, 224, 224, 3) uint8 -> outputs (B, D) float32.

    Raises:
        _CannotRun: it has a layer that OpenVINO does not know, or gives other answers there.
    """
    from openvino.frontend import OpConversionFailure
    from openvino.preprocess import PrePostProcessor

    pictures = draw_test_pictures()[:TRIED]
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    normalised = Normaliser(recipe, torch.device("cpu"))(images)
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            # torch's tracer warns of every assertion about shapes.
            warnings.simplefilter("ignore")
            found = openvino.convert_model(network, example_input=normalised[:2], input=[-1, 3, SIZE, SIZE])
            wanted = network(normalised).float().numpy()
    except (OpConversionFailure, RuntimeError) as error:
        raise _CannotRun(str(error).strip().splitlines()[-1]) from None
    steps = PrePostProcessor(found)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    change = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    change.mean([255 * value for value in recipe.mean]).scale([255 * value for value in recipe.std])
    found = steps.build()
    got = _compile(core, found, bf16=False)(pictures)[0]
    apart = np.abs(got - wanted).max() / max(1.0, float(np.abs(wanted).max()))
    if not apart <= MOST_APART:
        raise _CannotRun(f"its answers differ from torch's by {apart:.1e}")
    return found
