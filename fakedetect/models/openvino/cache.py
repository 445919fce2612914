"""OpenVINO's network of a checkpoint, kept beside it: converting takes seconds, reading does not."""

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from fakedetect.core.errors import UserError
from fakedetect.core.files import copy_file, hash_file
from fakedetect.core.records.record import Record, read_record, write_record
from fakedetect.core.settings.model_folder import NETWORK, NETWORK_WEIGHTS, OPENVINO_CACHE

LARGEST = 1024**3
"""Bytes of weights; a larger network is converted each time."""


class CachedNetwork(Record, frozen=True, kw_only=True):
    """What the files beside it were made of, and their hashes: the network's and its weights'."""

    made_of: str
    network: str
    weights: str


def read_network(core: Any, folder: Path, key: str, size: int, width: int) -> Any:
    """The network kept in a model's folder for this key; None where there is none that can be used.

    Args:
        size: of the pictures that it has to take.
        width: how many outputs it has to have.
    """
    made_of = hashlib.sha256(key.encode()).hexdigest()
    network, weights = folder / NETWORK, folder / NETWORK_WEIGHTS
    if not (network.is_file() and weights.is_file()):
        return None
    # OpenVINO raises a RuntimeError for everything.
    with suppress(OSError, UserError, RuntimeError):
        known = read_record(folder / OPENVINO_CACHE, CachedNetwork, "Remove it.")
        if known == CachedNetwork(made_of=made_of, network=hash_file(network), weights=hash_file(weights)):
            found = core.read_model(network, weights)
            given, gives = found.input(0), found.output(0).get_partial_shape()
            shape = given.get_partial_shape().to_string(), given.get_element_type().get_type_name()
            if shape == (f"[?,{size},{size},3]", "u8") and gives.to_string() == f"[?,{width}]":
                return found
    return None


def write_network(openvino: ModuleType, network: Any, folder: Path, key: str) -> None:
    """Keep a network in a model's folder; it replaces the one that was there.

    Where nothing may be written it is converted each time.
    """
    constants = (node for node in network.get_ops() if node.get_type_name() == "Constant")
    if sum(node.data.nbytes for node in constants) > LARGEST:
        return
    with suppress(OSError, UserError):
        write_ir(openvino, network, folder / NETWORK)
        known = CachedNetwork(
            made_of=hashlib.sha256(key.encode()).hexdigest(),
            network=hash_file(folder / NETWORK),
            weights=hash_file(folder / NETWORK_WEIGHTS),
        )
        write_record(folder / OPENVINO_CACHE, known)


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
