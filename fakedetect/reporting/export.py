"""Option 3.8: a trained model as files that run without fakedetect, compared with it at once."""

import copy
import io
import logging
import shutil
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import safetensors.torch
import torch

from fakedetect.core.console import Console, Outcome
from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, run_lock, write_text
from fakedetect.core.model_folder import PROBE_FILE
from fakedetect.core.recipes import SIZE
from fakedetect.core.settings import TORCH, Inference, Settings
from fakedetect.models.answering import Answering
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.engine import import_openvino
from fakedetect.models.engine_cache import write_ir
from fakedetect.reporting.model_card import write_card
from fakedetect.reporting.parity import Parity, compare_files

FOLDER = "export"
CARD = "MODEL_CARD.md"
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
SHAPE = (SIZE, SIZE, 3)


@dataclass(frozen=True)
class Exported:
    """The files that were written, in their folder, how far they agree, and what is missing, and why."""

    folder: Path
    files: tuple[str, ...]
    parity: Parity
    missing: tuple[str, ...]


def export(settings: Settings, console: Console) -> Outcome:
    """Write the chosen model as ONNX, OpenVINO IR and safetensors, with a model card, and compare them.

    Raises:
        UserError: the model has no usable checkpoint, or there are no test pictures to compare it on.
    """
    training = replace(settings.training, precision="fp32")
    plain = replace(settings, inference=Inference(engine=TORCH), training=training)
    folder = settings.model_folder / FOLDER
    with run_lock(settings.model_folder):
        found = export_files(load_detector(plain, console), console, folder)
    return Outcome(_describe(settings, found), 0 if found.parity.agrees and not found.missing else 1)


def export_files(detector: Detector, console: Console, folder: Path) -> Exported:
    """Write a detector's files into a folder, and compare their answers with the detector's.

    Args:
        detector: computed by torch, in float32.
    """
    name = detector.name
    model = copy.deepcopy(detector.model).cpu().to(memory_format=torch.contiguous_format)
    answering = Answering(model, detector.settings.recipe, detector.calibration.temperature).eval()
    missing = []
    files = [_write_safetensors(detector, folder / f"{name}.safetensors")]
    for write, file in ((_write_onnx, f"{name}.onnx"), (_write_openvino, f"{name}.xml")):
        console.note(f"Writing {file}")
        try:
            files.append(write(answering, folder / file))
        except ImportError:
            packages = " ".join(ONNX_PACKAGES) if file.endswith(".onnx") else "openvino"
            missing.append(f"{file} (pip install {packages})")
    parity = compare_files(detector, console, [folder / file for file in files])
    write_text(folder / CARD, write_card(detector, parity))
    return Exported(folder, (*files, CARD), parity, tuple(missing))


def _write_safetensors(detector: Detector, path: Path) -> str:
    """The weights as they are: a probe's own file, or the network's tensors under timm's or torchvision's
    names."""
    probe = detector.settings.model_folder / PROBE_FILE
    if detector.is_probe:
        with atomic_write(path) as target, probe.open("rb") as source:
            shutil.copyfileobj(source, target)
        return path.name
    recipe, calibration = detector.settings.recipe, detector.calibration
    facts = {
        "architecture": f"{recipe.library} {recipe.architecture}",
        "mean": str(list(recipe.mean)),
        "std": str(list(recipe.std)),
        "classes": "0 fake, 1 real",
        "temperature": str(calibration.temperature),
        "fake_from": str(calibration.fake_from),
        "real_below": str(calibration.real_below),
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in detector.model.state_dict().items()}
    with atomic_write(path) as file:
        # One key: the library writes several in any order.
        text = msgspec.json.encode(facts).decode("utf-8")
        file.write(safetensors.torch.save(tensors, {"fakedetect": text}))
    return path.name


def _write_onnx(answering: Answering, path: Path) -> str:
    """The whole detector as ONNX.

    Raises:
        ImportError: a package that it takes is not installed.
        UserError: the network has a layer that ONNX does not know.
    """
    import onnx  # noqa: F401
    import onnxscript  # noqa: F401

    example = (torch.zeros(2, *SHAPE, dtype=torch.uint8),)
    logger = logging.getLogger("torch.onnx")
    before, quiet = logger.level, io.StringIO()
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(quiet), redirect_stderr(quiet):
            # The exporter tells of every step that it takes.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                answering,
                example,
                dynamo=True,
                input_names=["images"],
                output_names=["p_fake"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                external_data=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path.name} cannot be written: {reason}") from None
    finally:
        logger.setLevel(before)
    assert program is not None  # noqa: S101
    with atomic_write(path) as file:
        file.write(program.model_proto.SerializeToString())
    return path.name


def _write_openvino(answering: Answering, path: Path) -> str:
    """The whole detector as OpenVINO's IR: an .xml, and the weights in a .bin beside it.

    Raises:
        ImportError: openvino is not installed.
    """
    openvino = import_openvino()
    with warnings.catch_warnings():
        # torch's tracer warns of every assertion about shapes.
        warnings.simplefilter("ignore")
        network = openvino.convert_model(
            answering,
            example_input=torch.zeros(2, *SHAPE, dtype=torch.uint8),
            input=[("images", [-1, *SHAPE], openvino.Type.u8)],
        )
    network.outputs[0].set_names({"p_fake"})
    write_ir(openvino, network, path)
    return path.name


def _describe(settings: Settings, found: Exported) -> str:
    lines = [f"Exported {settings.model} to {found.folder}: {', '.join(found.files)}"]
    lines += found.parity.in_words()
    lines += [f"Not written, for a package is missing: {file}" for file in found.missing]
    return "\n".join(lines)
