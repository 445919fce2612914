"""How predictions are computed, and OpenVINO's engine for a network that is in the cache.

This module does not import torch, which takes longer than a prediction. conversion.py converts networks
and fills the cache.
"""

import ctypes.util
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fakedetect.core.derived import derived_folder
from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file, hash_text, state_of
from fakedetect.core.processes.shards import count_workers
from fakedetect.core.records.record import Record, read_record
from fakedetect.core.records.training import read_training
from fakedetect.core.settings.model_folder import (
    BACKBONE_FILE,
    NETWORK,
    NETWORK_WEIGHTS,
    OPENVINO_CACHE,
    checkpoint_file,
    is_probe,
)
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import AUTO_ENGINE, OPENVINO_ENGINE, Settings
from fakedetect.core.terminal.console import plural
from fakedetect.models.probe.classifier import LinearClassifier, read_probe

PLATFORMS = ("x86_64", "amd64")
"""Machines on which OpenVINO is faster than torch (python -m benchmarks check test evaluate)."""

GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""At least one of them exists if Linux has a driver for a GPU that torch may use."""

MOST_STREAMS = 16
"""Parts of a batch that are computed in parallel. A thread with its own pictures does not wait for others:
EfficientNet-Lite0 gains 16 % on two cores; ResNet18, ConvNeXtV2-Tiny and ViT-B/16 gain 0 to 4 %."""


@dataclass(frozen=True)
class Engine:
    """Computes a model's outputs for pictures.

    `name` has the library and the precision, `device` the hardware. `pin`: pictures in page-locked memory
    reach the device faster.
    """

    name: str
    run: Callable[[np.ndarray], np.ndarray]
    device: str
    pin: bool = False

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Compute outputs (B, D) float32 for images (B, S, W, 3) uint8."""
        return self.run(images)


class CachedNetwork(Record, frozen=True, kw_only=True):
    """The record of a cached network: the key it was made for, and the hashes of its two files."""

    made_of: str
    network: str
    weights: str


def wants_openvino(settings: Settings) -> bool:
    """Whether to use OpenVINO on a CPU: `engine` under [inference] decides; 'auto' means on PLATFORMS."""
    engine = settings.inference.engine
    return engine == OPENVINO_ENGINE or (engine == AUTO_ENGINE and platform.machine().lower() in PLATFORMS)


def _may_have_gpu() -> bool:
    """Whether torch may find a GPU; without a driver there is none."""
    if os.name == "nt":
        return ctypes.util.find_library("nvcuda") is not None
    return sys.platform == "darwin" or any(Path(file).exists() for file in GPU_FILES)


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which reports every import to Google.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    module: ModuleType = openvino
    return module


def openvino_core() -> Any:
    """Return OpenVINO's runtime, one for the whole process.

    On a CPU with AMX, each runtime installs its own signal stack and restores the previous one when it
    ends. If two runtimes end in the order in which they started, the second restores a stack that no longer
    exists, and the next Ctrl-C crashes the process.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    return _core(import_openvino())


@cache
def _core(openvino: ModuleType) -> Any:
    return openvino.Core()


def load_cached_engine(settings: Settings, checkpoint: str) -> Engine | None:
    """Return OpenVINO's engine with the cached network of the chosen model's checkpoint, given by its hash.

    None if the cache has none, or if torch may find a GPU.

    Raises:
        UserError: training.json or a probe is not valid.
    """
    if not wants_openvino(settings) or _may_have_gpu():
        return None
    try:
        openvino = import_openvino()
    except ImportError:
        return None
    core = openvino_core()
    probe = checkpoint_file(settings)
    found = read_probe(probe) if is_probe(probe) else None
    classifier = found.classifier if found else None
    width = found.classifier.weights.size // found.facts.squares if found else len(CLASSES)
    network = read_cached_network(
        core, settings, network_cache_key(settings, checkpoint, openvino.__version__), width
    )
    if network is None:
        return None
    try:
        return make_openvino_engine(core, network, uses_bf16(settings), classifier)
    except RuntimeError:
        # torch reports what is wrong with the model, or runs it.
        return None


def read_cached_network(core: Any, settings: Settings, key: str, width: int) -> Any:
    """Read the chosen model's network from the cache; None if it has no usable one for this key.

    Args:
        key: from network_cache_key().
        width: number of outputs.
    """
    folder, size = network_folder(key), settings.recipe.input.size
    network, weights = folder / NETWORK, folder / NETWORK_WEIGHTS
    if not (network.is_file() and weights.is_file()):
        return None
    # OpenVINO raises a RuntimeError for everything.
    with suppress(OSError, UserError, RuntimeError):
        known = read_record(folder / OPENVINO_CACHE, CachedNetwork, "Remove it.")
        if known == hash_network_files(folder, key):
            found = core.read_model(network, weights)
            given, gives = found.input(0), found.output(0).get_partial_shape()
            shape = given.get_partial_shape().to_string(), given.get_element_type().get_type_name()
            if shape == (f"[?,{size},{size},3]", "u8") and gives.to_string() == f"[?,{width}]":
                return found
    return None


def network_folder(key: str) -> Path:
    """Return the cache folder for the network of this key."""
    return derived_folder("networks", key)


def hash_network_files(folder: Path, key: str) -> CachedNetwork:
    """Hash the two files of the network in a folder into the record for this key."""
    network, weights = hash_file(folder / NETWORK), hash_file(folder / NETWORK_WEIGHTS)
    return CachedNetwork(made_of=key, network=network, weights=weights)


def network_cache_key(settings: Settings, checkpoint: str, version: str) -> str:
    """Hash everything that a cached network depends on."""
    recipe, folder = settings.recipe, settings.model_folder
    # The weights of a probe's backbone may come from these files.
    known = [folder / BACKBONE_FILE, *([Path(recipe.weights)] if recipe.weights else [])]
    files = [file for file in known if file.is_file()]
    weights = [(str(file), *state_of(file)) for file in files]
    classes = read_training(folder).classes
    parts = (checkpoint, version, recipe.library, recipe.architecture, repr(recipe.input))
    return hash_text(" ".join(map(str, (*parts, classes, weights))))


def describe_cpu(arithmetic: str) -> str:
    """Return 'the CPU (2 cores, bfloat16)', with the number of cores that this process may use."""
    return f"the CPU ({plural(count_workers(None), 'core')}, {arithmetic})"


def uses_bf16(settings: Settings) -> bool:
    """Whether OpenVINO should compute in bfloat16."""
    precision = settings.training.precision
    return precision == "bf16" or (precision == AUTO_ENGINE and cpu_has_bf16())


def cpu_has_bf16() -> bool:
    """Whether the CPU has instructions that multiply bfloat16."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def compile_network(core: Any, network: Any, bf16: bool, streams: int = 1) -> Any:
    """Compile a network for the CPU, with a thread for each core that this process may use.

    Args:
        streams: number of requests that share the threads.
    """
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": _count_threads(),
        # These threads share the cores with the processes that decode pictures.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(network, "CPU", options)


def _count_threads() -> int:
    """Count threads as torch does: OMP_NUM_THREADS, which torchrun sets, or one per core."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) else count_workers(None)


def _count_streams() -> int:
    return min(_count_threads(), MOST_STREAMS)


def make_openvino_engine(
    core: Any, network: Any, bf16: bool, classifier: LinearClassifier | None
) -> Engine:
    """Return the engine of a converted network.

    Args:
        classifier: of a probe, if the network is its backbone; it always runs in float32.

    A picture of several squares, for a probe, goes through the network square by square; equal ones once.
    """
    streams = _count_streams()
    compiled = compile_network(core, network, bf16, streams)
    requests = [compiled.create_infer_request() for _ in range(streams)]

    def run(images: np.ndarray) -> np.ndarray:
        squares, places = _split_squares(images)
        parts = np.array_split(squares, min(streams, len(squares)))
        busy = requests[: len(parts)]
        for request, part in zip(busy, parts, strict=True):
            request.start_async([part], share_inputs=True)
        found = []
        for request in busy:
            request.wait()
            # The next batch overwrites the request's memory.
            found.append(request.get_output_tensor().data.copy())
        outputs = np.concatenate(found)[places].reshape(len(images), -1)
        return classifier.predict(outputs) if classifier else outputs

    arithmetic = "bfloat16" if bf16 else "float32"
    return Engine(f"OpenVINO {arithmetic}", run, describe_cpu(arithmetic))


def _split_squares(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split images (B, S, V S, 3) into their distinct squares (N, S, S, 3).

    A square that equals the one on its left is left out.

    Returns:
        The squares, and for each of the B V ones its index among them.
    """
    size = images.shape[1]
    squares = images.reshape(len(images), size, -1, size, 3).swapaxes(1, 2)
    wanted = np.ones(squares.shape[:2], bool)
    wanted[:, 1:] = (squares[:, 1:] != squares[:, :-1]).any((2, 3, 4))
    return squares[wanted], np.cumsum(wanted.ravel()) - 1
