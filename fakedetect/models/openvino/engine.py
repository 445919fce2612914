"""What computes a model's answers, and OpenVINO in torch's place where its network is kept already.

Importing torch takes longer than answering about a picture does; nothing here does. How a network is
converted and kept: conversion.py.
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
from fakedetect.models.probe.classifier import Line, read_probe

PLATFORMS = ("x86_64", "amd64")
"""Where OpenVINO is known to be the faster one (python -m benchmarks check test evaluate)."""

GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""One of them is there where Linux has a driver for a GPU that torch may use."""

MOST_STREAMS = 16
"""Parts of a batch that are computed side by side. A thread with pictures of its own waits for no other:
EfficientNet-Lite0 gains 16 % on two cores, ResNet18, ConvNeXtV2-Tiny and ViT-B/16 0 to 4 %."""


@dataclass(frozen=True)
class Engine:
    """Computes what a model makes of pictures.

    `name` says what computes and in which arithmetic, `device` on what. `pin`: pictures in page-locked
    memory get there sooner.
    """

    name: str
    run: Callable[[np.ndarray], np.ndarray]
    device: str
    pin: bool = False

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images (B, S, S, 3) uint8 -> outputs (B, D) float32."""
        return self.run(images)


class CachedNetwork(Record, frozen=True, kw_only=True):
    """What the files beside it were made of, and their hashes: the network's and its weights'."""

    made_of: str
    network: str
    weights: str


def wants_openvino(settings: Settings) -> bool:
    """Whether OpenVINO is to compute on a CPU: by `engine` under [inference]; 'auto' on PLATFORMS."""
    asked = settings.inference.engine
    return asked == OPENVINO_ENGINE or (asked == AUTO_ENGINE and platform.machine().lower() in PLATFORMS)


def _may_have_gpu() -> bool:
    """Whether torch has to be asked for a GPU; without a driver there is none."""
    if os.name == "nt":
        return ctypes.util.find_library("nvcuda") is not None
    return sys.platform == "darwin" or any(Path(file).exists() for file in GPU_FILES)


def import_openvino() -> ModuleType:
    """OpenVINO without its telemetry, which reports to Google each time that it is imported.

    Raises:
        ImportError: it is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    module: ModuleType = openvino
    return module


def openvino_core() -> Any:
    """OpenVINO's runtime, one for the whole process.

    Each runtime on a CPU with AMX gives the process another stack for signals, and in the end puts back the
    one that it found. Of two that end in the order in which they began, the second puts back one that is
    gone, and the next Ctrl-C crashes the process.

    Raises:
        ImportError: it is not installed.
    """
    return _core(import_openvino())


@cache
def _core(openvino: ModuleType) -> Any:
    return openvino.Core()


def kept_engine(settings: Settings, checkpoint: str) -> Engine | None:
    """OpenVINO with the network that is kept for the chosen model's checkpoint of this hash.

    None where there is none, or where a GPU may be: torch has to be asked then.

    Raises:
        UserError: training.json, or a probe, does not fit.
    """
    if not wants_openvino(settings) or _may_have_gpu():
        return None
    try:
        openvino = import_openvino()
    except ImportError:
        return None
    core = openvino_core()
    probe = checkpoint_file(settings)
    line = read_probe(probe).line if is_probe(probe) else None
    network = read_network(core, settings, made_of(settings, checkpoint, openvino.__version__), line)
    if network is None:
        return None
    try:
        return openvino_engine(core, network, takes_bf16(settings), line)
    except RuntimeError:
        # torch says what is wrong with the model, or answers.
        return None


def read_network(core: Any, settings: Settings, key: str, line: Line | None) -> Any:
    """The network kept for the chosen model and this key; None where there is none that can be used.

    Args:
        key: what it has to be made of, by made_of().
        line: a probe's, which takes the network's outputs.
    """
    folder, size = network_folder(key), settings.recipe.input.size
    network, weights = folder / NETWORK, folder / NETWORK_WEIGHTS
    if not (network.is_file() and weights.is_file()):
        return None
    # OpenVINO raises a RuntimeError for everything.
    with suppress(OSError, UserError, RuntimeError):
        known = read_record(folder / OPENVINO_CACHE, CachedNetwork, "Remove it.")
        if known == hash_network(folder, key):
            found = core.read_model(network, weights)
            given, gives = found.input(0), found.output(0).get_partial_shape()
            shape = given.get_partial_shape().to_string(), given.get_element_type().get_type_name()
            width = line.weights.size if line else len(CLASSES)
            if shape == (f"[?,{size},{size},3]", "u8") and gives.to_string() == f"[?,{width}]":
                return found
    return None


def network_folder(key: str) -> Path:
    """Where the network that is made of this is kept."""
    return derived_folder("networks", key)


def hash_network(folder: Path, key: str) -> CachedNetwork:
    """What describes the network in a folder, if it is made of this."""
    network, weights = hash_file(folder / NETWORK), hash_file(folder / NETWORK_WEIGHTS)
    return CachedNetwork(made_of=key, network=network, weights=weights)


def made_of(settings: Settings, checkpoint: str, version: str) -> str:
    """A hash of all that a kept network depends on: a change of any of it makes another one."""
    recipe, folder = settings.recipe, settings.model_folder
    # A probe's backbone may come from these.
    known = [folder / BACKBONE_FILE, *([Path(recipe.weights)] if recipe.weights else [])]
    files = [file for file in known if file.is_file()]
    weights = [(str(file), *state_of(file)) for file in files]
    classes = read_training(folder).classes
    parts = (checkpoint, version, recipe.library, recipe.architecture, repr(recipe.input))
    return hash_text(" ".join(map(str, (*parts, classes, weights))))


def describe_cpu(arithmetic: str) -> str:
    """'the CPU (2 cores, bfloat16)': as many cores as this process may use."""
    return f"the CPU ({plural(count_workers(None), 'core')}, {arithmetic})"


def takes_bf16(settings: Settings) -> bool:
    """Whether OpenVINO is to compute in bfloat16."""
    precision = settings.training.precision
    return precision == "bf16" or (precision == AUTO_ENGINE and cpu_has_bf16())


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def compile_network(core: Any, network: Any, bf16: bool, streams: int = 1) -> Any:
    """A network ready to run on the CPU, with a thread for each core that this process may use.

    Args:
        streams: how many requests share the threads.
    """
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": _count_threads(),
        # The system shares the cores between these threads and the processes that decode.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(network, "CPU", options)


def _count_threads() -> int:
    """As torch counts them: by OMP_NUM_THREADS, which torchrun sets, or a thread a core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else count_workers(None)


def _count_streams() -> int:
    return min(_count_threads(), MOST_STREAMS)


def openvino_engine(core: Any, network: Any, bf16: bool, line: Line | None) -> Engine:
    """The engine of a converted network.

    Args:
        line: a probe's, whose backbone the network is; its product stays in float32.
    """
    streams = _count_streams()
    compiled = compile_network(core, network, bf16, streams)
    requests = [compiled.create_infer_request() for _ in range(streams)]

    def run(images: np.ndarray) -> np.ndarray:
        parts = np.array_split(np.ascontiguousarray(images), min(streams, len(images)))
        busy = requests[: len(parts)]
        for request, part in zip(busy, parts, strict=True):
            request.start_async([part], share_inputs=True)
        found = []
        for request in busy:
            request.wait()
            # The request's memory is filled anew by the next batch.
            found.append(request.get_output_tensor().data.copy())
        outputs = np.concatenate(found)
        return line.judge(outputs) if line else outputs

    arithmetic = "bfloat16" if bf16 else "float32"
    return Engine(f"OpenVINO {arithmetic}", run, describe_cpu(arithmetic))
