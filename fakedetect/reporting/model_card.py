"""MODEL_CARD.md: what is known of a model, for who gets its exported files (Mitchell et al. 2019, 'Model
Cards for Model Reporting')."""

from collections.abc import Iterator

from fakedetect.core.records.evaluation import Evaluation, read_evaluation
from fakedetect.core.records.repeats import TESTED, Repeats, read_several, say_spread
from fakedetect.core.records.test import TestResults, read_results
from fakedetect.core.settings.model_folder import EVALUATION, results_file
from fakedetect.core.settings.recipes import UNBALANCED
from fakedetect.core.terminal.console import plural, printable
from fakedetect.core.version import describe_version
from fakedetect.metrics.intervals import SAME_SHAPE, measure_area, measure_share
from fakedetect.models.detector import Detector
from fakedetect.reporting.parity import Parity

TORCHVISION_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research"

LIMITS = """\
- It estimates from the pixels and proves nothing: "real" does not mean that a picture shows what happened,
  nor "fake" that it did not.
- On pictures unlike its training pictures, above all those by newer generators, its accuracy is lower,
  often far lower. Measure it on pictures like those you want to check before you rely on it.
- Strong compression, scaling and retouching change its answers.
- A threshold's guarantee holds for pictures like those it was fitted on."""


def write_card(detector: Detector, parity: Parity) -> str:
    """The text of the card.

    Raises:
        UserError: a record in the model's folder does not fit.
    """
    settings = detector.settings
    folder, again = settings.model_folder, settings.command("evaluate")
    known = read_evaluation(folder / EVALUATION, detector.checkpoint_hash, again)
    repeat = settings.command("train", "--repeat", "3")
    repeats = read_several(folder, detector.checkpoint_hash, repeat)
    results = read_results(results_file(folder, "test"), settings.command("test"))
    if results and results.checkpoint not in (None, detector.checkpoint_hash):
        results = None
    sections = {
        "Use": _tell_use(detector, parity),
        "Training data": _tell_data(detector),
        "Performance": [*_tell_results(results), *_tell_repeats(repeats), *_tell_evaluation(known)]
        or ["It was not tested."],
        "Limits": [LIMITS],
        "Licences": _tell_licences(detector),
    }
    recipe = settings.recipe
    text = [
        f"# Model card: {detector.name}",
        f"A detector of AI-generated pictures: {recipe.architecture} ({recipe.library}), by fakedetect "
        f"{describe_version()}, checkpoint {detector.checkpoint_hash[:16]}.",
    ]
    for title, lines in sections.items():
        text += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(text) + "\n"


def _tell_use(detector: Detector, parity: Parity) -> Iterator[str]:
    calibration, kind = detector.calibration, detector.kind
    size, how = kind.scaling.size, kind.scaling.interpolation.capitalize()
    yield (
        f"- Input `images` (B, {size}, {size}, 3) uint8: RGB, upright, scaled by {how}. "
        "Output `p_fake`: (B,)."
    )
    if kind.aligned:
        sampling = "4:4:4" if kind.quality >= 95 else "4:2:0"
        yield f"- Every scaled picture is saved as JPEG {kind.quality} ({sampling}) and read again first."
    else:
        yield "- A scaled picture is saved in its own format, by Pillow's defaults, and read again first."
    yield (
        f"- fake from p_fake {calibration.fake_from:.4f}, real below {calibration.real_below:.4f}, unsure "
        f"between them{'' if calibration.fitted else ' (no thresholds were set: these are 0.5)'}."
    )
    for line in parity.in_words():
        yield f"- {line}."


def _tell_data(detector: Detector) -> Iterator[str]:
    training = detector.training
    data, best = training.data, training.best
    if data is None or data.count is None:
        yield "How it was trained is unknown: its checkpoint came from elsewhere."
        return
    fake, real = data.fake or 0, data.real or 0
    yield f"- {data.count:,} pictures: {fake:,} fake, {real:,} real."
    if training.probe:
        found = training.probe
        yield (
            f"- A linear classifier on frozen features, cross-validated with held-out sources in "
            f"{plural(found.folds, 'fold')}; "
            f"families of fakes: {found.families:,}, sources of real pictures: {found.real_sources:,}."
        )
    elif training.recipe:
        recipe = training.recipe
        yield (
            f"- Recipe {recipe.method}: {recipe.optimizer}, learning rate {recipe.learning_rate}, batches "
            f"of {recipe.batch_size}, seed {training.seed}"
            + (f", best of epoch {best.epoch}." if best else ".")
        )
        if training.run and training.run.balance != UNBALANCED:
            balanced = training.run.balance
            yield f"- Its {balanced} were shown equally often and weighted equally in validation."
    if training.pretrained is not None:
        yield f"- It started from {'pretrained' if training.pretrained else 'random'} weights."


def _tell_results(results: TestResults | None) -> Iterator[str]:
    if results is None:
        return
    (caught, missed), (alarms, cleared) = results.confusion_matrix
    shares = {
        "accuracy": (caught + cleared, results.count),
        "fake recall": (caught, caught + missed),
        "real recall": (cleared, alarms + cleared),
    }
    yield f"On its test dataset of {plural(results.count, 'picture')} (95 % intervals):\n"
    yield "| measure | value |\n|---|---|"
    for name, (hits, count) in shares.items():
        if count:
            yield f"| {name} | {measure_share(hits, count).describe('.1%')} |"
    if results.roc_auc is not None:
        auc = measure_area(results.roc_auc, caught + missed, alarms + cleared)
        yield f"| ROC AUC | {auc} |"


def _tell_repeats(repeats: Repeats | None) -> Iterator[str]:
    if repeats:
        yield (
            f"\nOver {len(repeats)} runs that differ only in their seed, including this one, mean ± "
            f"sample standard deviation (lowest to highest): {say_spread(repeats, TESTED) or 'not tested'}."
        )


def _tell_evaluation(known: Evaluation | None) -> Iterator[str]:
    if known is None:
        return
    if known.unseen_sources:
        unseen = known.unseen_sources
        yield "\nOn held-out sources and families (95 % intervals over sources):\n"
        yield "| measure | value |\n|---|---|"
        yield f"| ROC AUC | {unseen.auc} |"
        yield f"| fake recall at 5 % false alarms | {unseen.fake_recall_at_5} |"
        if unseen.auc_same_shape:
            yield f"| {SAME_SHAPE} | {unseen.auc_same_shape} |"
        for name, family in unseen.hardest_families[:3]:
            yield f"| ROC AUC on {_plain(name)} ({family.n:,}) | {family.auc} |"
    for name, entry in known.foreign.items():
        pictures = plural(entry.count, "picture")
        yield f"\nOn {pictures} from other sources, {_plain(name)} (95 % intervals):\n"
        yield "| measure | value |\n|---|---|"
        yield f"| accuracy | {entry.measures.accuracy.describe('.1%')} |"
        yield f"| ROC AUC | {entry.measures.roc_auc} |"
        if entry.auc_same_shape:
            yield f"| {SAME_SHAPE} | {entry.auc_same_shape} |"
    if known.test:
        found = known.test.robustness
        yield f"\nDegraded test pictures: mean ROC AUC {found.mean_auc:.3f}, worst {found.worst_auc:.3f} "
        yield f"({found.worst})."


def _tell_licences(detector: Detector) -> Iterator[str]:
    recipe, training = detector.settings.recipe, detector.training
    if training.pretrained is False:
        yield "- It started from random weights: only the licences of the training pictures apply."
    elif recipe.library == "torchvision":
        yield f"- Pretrained weights: {TORCHVISION_LICENCE}."
    else:
        yield f"- Pretrained weights: {_timm_licence(recipe.architecture)}."
    yield "- The training pictures have licences of their own; ask whoever trained the model."


def _timm_licence(architecture: str) -> str:
    """The licence that timm knows of a model's published weights."""
    import timm

    config = timm.get_pretrained_cfg(architecture)
    licence = config.license if config else None
    if config is None or not licence:
        return f"those of timm's {architecture}; timm states no licence; ask their authors"
    return f"those of timm's {architecture}.{config.tag}, under {licence} according to timm"


def _plain(name: str) -> str:
    """A name as Markdown shows it; names are data."""
    kept = printable(name)
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()<>#+-.!|" else letter for letter in kept)
