"""OpenVINO's network of a checkpoint, kept beside it: converting takes seconds, reading does not."""

import hashlib
import math
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, hash_file
from fakedetect.core.model_folder import NETWORK, NETWORK_WEIGHTS, OPENVINO_CACHE
from fakedetect.core.records import Record, read_record, write_record

LARGEST = 1024**3
"""Bytes of weights; a larger network is converted each time."""


class CachedNetwork(Record, frozen=True, kw_only=True):
    """What the files beside it were made of, and their hashes: the network's and its weights'."""

    made_of: str
    network: str
    weights: str


def read_network(core: Any, folder: Path, key: str) -> Any:
    """The network kept in a model's folder for this key; None where there is none that is whole."""
    made_of = hashlib.sha256(key.encode()).hexdigest()
    network, weights = folder / NETWORK, folder / NETWORK_WEIGHTS
    if not (network.is_file() and weights.is_file()):
        return None
    with suppress(OSError, UserError):
        known = read_record(folder / OPENVINO_CACHE, CachedNetwork, "Remove it.")
        if known == CachedNetwork(made_of=made_of, network=hash_file(network), weights=hash_file(weights)):
            return core.read_model(network, weights)
    return None


def write_network(openvino: ModuleType, network: Any, folder: Path, key: str) -> None:
    """Keep a network in a model's folder; it replaces the one that was there.

    Where nothing may be written it is converted each time.
    """
    with suppress(OSError, UserError):
        if not write_ir(openvino, network, folder / NETWORK, LARGEST):
            return
        known = CachedNetwork(
            made_of=hashlib.sha256(key.encode()).hexdigest(),
            network=hash_file(folder / NETWORK),
            weights=hash_file(folder / NETWORK_WEIGHTS),
        )
        write_record(folder / OPENVINO_CACHE, known)


def write_ir(openvino: ModuleType, network: Any, path: Path, largest: float = math.inf) -> bool:
    """Write a network in float32 as an .xml and its weights as a .bin beside it, each whole or not at all.

    Returns:
        Whether the weights had at most `largest` bytes; else nothing is written.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / path.name
        openvino.save_model(network, file, compress_to_fp16=False)
        if file.with_suffix(".bin").stat().st_size > largest:
            return False
        # The weights first: a network without them cannot be read.
        for suffix in (".bin", ".xml"):
            made_file = file.with_suffix(suffix)
            with atomic_write(path.with_suffix(suffix)) as target, made_file.open("rb") as source:
                shutil.copyfileobj(source, target)
    return True
