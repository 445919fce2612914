"""Option 3.8: export a trained model to files that run without fakedetect, and check their parity."""

import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import safetensors.torch
import torch

from fakedetect.core.errors import is_own_import
from fakedetect.core.files import atomic_write, copy_file, run_lock, write_text
from fakedetect.core.installation import install_command
from fakedetect.core.records.evaluation import read_evaluation, read_results
from fakedetect.core.records.repeats import TEST_FIGURES, format_spread, read_repeats_with_spread
from fakedetect.core.settings.model_folder import EVALUATION, PROBE_FILE, require_checkpoint, results_file
from fakedetect.core.settings.recipes import UNBALANCED
from fakedetect.core.settings.settings import TORCH_ENGINE, Inference, Settings
from fakedetect.core.templates import load_template
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.core.version import describe_citation, describe_version
from fakedetect.metrics.held_out import describe_cross_validation, list_held_out_measures
from fakedetect.metrics.intervals import SAME_SHAPE, measure_area, measure_share
from fakedetect.metrics.null import NULL, describe_null
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.openvino.conversion import write_ir
from fakedetect.models.openvino.engine import import_openvino
from fakedetect.reporting.parity import DetectorNetwork, Parity, choose_parity_pictures, measure_parity

EXPORT_FOLDER = "export"
CARD_FILE = "MODEL_CARD.md"
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class ExportedFiles:
    """The files written into a folder, their parity, and the formats that are missing, with the reason."""

    folder: Path
    files: tuple[str, ...]
    parity: Parity
    missing: tuple[str, ...]


class _CannotWriteError(Exception):
    """A format cannot be written; the message has the reason."""


def export(settings: Settings, console: Console) -> Outcome:
    """Export the chosen model as ONNX, OpenVINO IR and safetensors, with a model card, and compare them.

    Raises:
        UserError: the model has no usable checkpoint, or the files cannot be written.
    """
    require_checkpoint(settings)
    plain = replace(settings, inference=Inference(engine=TORCH_ENGINE))
    folder = settings.model_folder / EXPORT_FOLDER
    with run_lock(settings.model_folder):
        found = export_files(load_detector(plain, console), console, folder)
    return Outcome(_describe_export(settings, found), 0 if found.parity.agrees and not found.missing else 1)


def export_files(detector: Detector, console: Console, folder: Path) -> ExportedFiles:
    """Export a detector into a folder, replacing an earlier export, and compare the files' predictions.

    Raises:
        UserError: a file cannot be written.
    """
    name = detector.name
    model = detector.model.cpu().to(memory_format=torch.contiguous_format)
    network = DetectorNetwork(model, detector.settings.recipe, detector.calibration.temperature).eval()
    pictures = choose_parity_pictures(detector, console)
    # They may belong to an earlier checkpoint. The card is written last: an export without it is
    # unfinished.
    for file in (CARD_FILE, *(f"{name}.{ending}" for ending in ("onnx", "xml", "bin", "safetensors"))):
        (folder / file).unlink(missing_ok=True)
    missing = []
    files = [_write_safetensors(detector, folder / f"{name}.safetensors")]
    for write, file in ((_write_onnx, f"{name}.onnx"), (_write_openvino, f"{name}.xml")):
        console.note(f"Writing {file}")
        try:
            files.append(write(network, (detector.kind.scaling.size, detector.kind.width), folder / file))
        except ImportError as error:
            if is_own_import(error):
                raise
            packages = ONNX_PACKAGES if write is _write_onnx else ("openvino",)
            missing.append(f"{file}; a package is missing: {install_command(*packages)}")
        except _CannotWriteError as error:
            missing.append(f"{file}; {error}")
    parity = measure_parity(network, pictures, [folder / file for file in files])
    write_text(folder / CARD_FILE, _render_card(detector, parity))
    return ExportedFiles(folder=folder, files=(*files, CARD_FILE), parity=parity, missing=tuple(missing))


def _write_safetensors(detector: Detector, path: Path) -> str:
    """Write a probe's own file, or the network's tensors under timm's or torchvision's names."""
    probe = detector.settings.model_folder / PROBE_FILE
    if detector.is_probe:
        copy_file(probe, path)
        return path.name
    recipe, calibration = detector.settings.recipe, detector.calibration
    metadata = {
        "architecture": f"{recipe.library} {recipe.architecture}",
        "size": str(recipe.input.size),
        "interpolation": recipe.input.scaling.interpolation,
        "mean": str(list(recipe.input.mean)),
        "std": str(list(recipe.input.std)),
        "classes": "0 fake, 1 real",
        "temperature": str(calibration.temperature),
        "fake_from": str(calibration.fake_from),
        "real_below": str(calibration.real_below),
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in detector.model.state_dict().items()}
    with atomic_write(path) as file:
        # A single key: the library writes several in random order.
        text = msgspec.json.encode(metadata).decode("utf-8")
        file.write(safetensors.torch.save(tensors, {"fakedetect": text}))
    return path.name


def _write_onnx(network: DetectorNetwork, sides: tuple[int, int], path: Path) -> str:
    """Write the whole detector as ONNX, for copies of that height and width.

    Raises:
        ImportError: a package that writes or runs ONNX is not installed.
        _CannotWriteError: ONNX does not support a layer of the network.
    """
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import onnxscript  # noqa: F401

    example = (torch.zeros(2, *sides, 3, dtype=torch.uint8),)
    logger = logging.getLogger("torch.onnx")
    before, quiet = logger.level, io.StringIO()
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(quiet), redirect_stderr(quiet):
            # The exporter reports every step.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                input_names=["images"],
                output_names=["p_fake"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                external_data=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        raise _CannotWriteError(printable(str(cause).strip().splitlines()[0])) from None
    finally:
        logger.setLevel(before)
    assert program is not None  # noqa: S101
    with atomic_write(path) as file:
        file.write(program.model_proto.SerializeToString())
    return path.name


def _write_openvino(network: DetectorNetwork, sides: tuple[int, int], path: Path) -> str:
    """Write the whole detector as OpenVINO IR, for copies of that height and width: an .xml, and a .bin of
    weights.

    Raises:
        ImportError: openvino is not installed.
        _CannotWriteError: OpenVINO does not support a layer of the network.
    """
    # First: this import disables the telemetry.
    openvino = import_openvino()
    from openvino.frontend import OpConversionFailure

    try:
        with warnings.catch_warnings():
            # torch's tracer warns about every assertion on shapes.
            warnings.simplefilter("ignore")
            converted = openvino.convert_model(
                network,
                example_input=torch.zeros(2, *sides, 3, dtype=torch.uint8),
                input=[("images", [-1, *sides, 3], openvino.Type.u8)],
            )
    except (OpConversionFailure, RuntimeError) as error:
        raise _CannotWriteError(printable(str(error).strip().splitlines()[0])) from None
    converted.outputs[0].set_names({"p_fake"})
    write_ir(openvino, converted, path)
    return path.name


def _render_card(detector: Detector, parity: Parity) -> str:
    """Render the model card from the records of this checkpoint in the model's folder.

    Raises:
        UserError: a record is not valid.
    """
    settings, checkpoint = detector.settings, detector.checkpoint_hash
    folder, recipe, published = settings.model_folder, settings.recipe, None
    if recipe.library == "timm":
        import timm

        published = timm.get_pretrained_cfg(recipe.architecture)
    results = read_results(results_file(folder, "test"), settings.command("test"))
    repeats = read_repeats_with_spread(folder, checkpoint, settings.command("train", "--repeat", "3"))
    rendered = load_template("model_card.md").render(
        NULL=NULL,
        SAME_SHAPE=SAME_SHAPE,
        UNBALANCED=UNBALANCED,
        describe_cross_validation=describe_cross_validation,
        describe_null=describe_null,
        list_held_out_measures=list_held_out_measures,
        measure_area=measure_area,
        measure_share=measure_share,
        plural=plural,
        version=describe_version(),
        citation=describe_citation(
            (detector.training.versions or {}).get("fakedetect", describe_version())
        ),
        detector=detector,
        parity=parity,
        results=results if results and results.checkpoint in (None, checkpoint) else None,
        evaluation=read_evaluation(folder / EVALUATION, checkpoint, settings.command("evaluate")),
        runs=len(repeats) if repeats else 0,
        spread=format_spread(repeats, TEST_FIGURES) or "not tested" if repeats else "",
        published=published,
    )
    return rendered + "\n"


def _describe_export(settings: Settings, found: ExportedFiles) -> str:
    lines = [f"Exported {settings.model} to {found.folder}: {', '.join(found.files)}"]
    lines += found.parity.describe()
    lines += [f"Not written: {file}" for file in found.missing]
    return "\n".join(lines)
