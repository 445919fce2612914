"""The probe recipe: a linear classifier on a pretrained network's frozen features.

Fine-tuning on few generators learns their traces and forgets pretrained knowledge; a linear classifier on
frozen features of many sources generalises better (Ojha et al. 2023). Every view of a picture, clean or
degraded, is encoded as the same JPEG, whatever the file's format. The strength, thresholds and figures come
from held-out scores: each picture is scored by a classifier that was fitted without the picture's source.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file, hash_text
from fakedetect.core.records.evaluation import Evaluation, HeldOutSources, write_evaluation
from fakedetect.core.records.training import (
    CalibrationRecord,
    HeldOutScores,
    ProbeRecord,
    TrainingRecord,
    read_held_out_scores,
    read_training,
    write_held_out_scores,
    write_training,
)
from fakedetect.core.settings.model_folder import (
    EVALUATION,
    HELD_OUT_SCORES,
    LOG,
    LOSS_PLOT,
    PROBE_FILE,
    TRAINING,
    features_file,
    remove_other_checkpoints,
)
from fakedetect.core.settings.model_input import SIZE
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.core.terminal.progress import format_duration
from fakedetect.dataset.samples import (
    Dataset,
    FileFacts,
    Sample,
    describe_faults,
    find_originals,
    list_shapes,
    load_probe_dataset,
    read_original_facts,
    warn_about_skipped,
)
from fakedetect.images.copies import PROBE_COPIES
from fakedetect.metrics.calibration import describe_thresholds
from fakedetect.metrics.held_out import (
    calibrate_held_out,
    describe_held_out,
    describe_needed_sources,
    group_by_source,
    measure_held_out,
)
from fakedetect.metrics.intervals import describe_shape_effect
from fakedetect.metrics.null import describe_null, score_files
from fakedetect.metrics.paired import describe_change
from fakedetect.models.devices import choose_device
from fakedetect.models.probe.classifier import ProbeFacts
from fakedetect.models.probe.features import (
    Features,
    FrozenBackbone,
    compute_features,
    freeze_backbone,
    make_feature_cache,
)
from fakedetect.models.probe.fitting import (
    LEAST_PICTURES_PER_CLASS,
    CrossValidatedFit,
    check_picture_counts,
    choose_training_pictures,
    compute_sample_weights,
    count_groups,
    fit_cross_validated,
)
from fakedetect.models.probe.folds import assign_folds, match_collections
from fakedetect.models.probe.model import Probe, write_probe
from fakedetect.models.processes import Group, join_group
from fakedetect.training.loop import check_unreadable_share
from fakedetect.training.unfinished import (
    gather_conditions,
    make_training_record,
    mark_unfinished,
    unfinished_file,
)

PROBE_STRENGTHS = (0.0003, 0.001, 0.003)
"""Candidates for scikit-learn's C; the one that separates held-out sources best is used."""

EPOCH_FILES = (LOG, LOSS_PLOT)
"""Files of an earlier run with epochs, which a probe removes."""


@dataclass(frozen=True, kw_only=True)
class FittedProbe:
    """The result of a fit.

    `earlier` has the scores of the fit that this one replaces, None if there was none. `calibration` is
    None if the probe is no better than chance on held-out sources. `copies` counts the pictures whose
    original is missing; `bad` has the reasons of the unreadable ones.
    """

    probe: ProbeRecord
    scores: HeldOutScores
    earlier: HeldOutScores | None
    evaluation: Evaluation
    calibration: CalibrationRecord | None
    pictures: int
    features: int
    copies: int
    bad: Mapping[Path, str]
    seconds: float


def train_probe(
    settings: Settings,
    console: Console,
    leave_out: str = "",
    cache: Path | None = None,
    alone: bool = False,
) -> FittedProbe | None:
    """Fit the chosen model's probe, measure it on held-out sources, and save both in its folder.

    Args:
        leave_out: a source to exclude, '' for none.
        cache: the file of features; by default the one in the model's folder.
        alone: use this process only, even if torchrun started others, which may have ended.

    Returns:
        None in all processes but the first.

    Raises:
        UserError: the pictures, the backbone or its weights cannot be used.
    """
    start = time.monotonic()
    found = _gather(settings, console, leave_out, cache or features_file(settings.model_folder), alone)
    if found is None:
        return None
    fit = _cross_validate(settings, console, found)
    probe = _describe_probe(found, fit)
    earlier = _read_earlier_scores(settings)
    # The slow steps are done: replace the earlier model. The run counts as unfinished until all files of
    # the new one are written.
    mark_unfinished(settings.model_folder, gather_conditions(settings, found.dataset))
    checkpoint = _save_probe(settings, found.frozen, fit, probe)
    measured = _measure(found, fit, checkpoint)
    # The last are of whole collections, if any: thresholds shall hold for pictures gathered elsewhere.
    scores, held_out = measured[-1]
    calibration = _calibrate(scores)
    evaluation = Evaluation(
        model=settings.model,
        checkpoint=checkpoint,
        held_out_sources=measured[0][1],
        held_out_collections=held_out if held_out.by_collection else None,
    )
    _save_records(settings, scores, evaluation, _describe_run(settings, found, probe, calibration))
    unfinished_file(settings.model_folder).unlink(missing_ok=True)
    return FittedProbe(
        probe=probe,
        scores=scores,
        earlier=earlier,
        evaluation=evaluation,
        calibration=calibration,
        pictures=len(found.samples),
        features=found.frozen.width,
        copies=found.copies,
        bad=found.bad,
        seconds=time.monotonic() - start,
    )


@dataclass(frozen=True, kw_only=True)
class _ProbeData:
    """The data of a fit: the readable pictures, their original files, and each view's features (N, D).

    `pictures` identifies each of them, `collections` has the collection of each source that is in one.
    `copies` counts the dataset's pictures whose original is missing.
    """

    dataset: Dataset
    frozen: FrozenBackbone
    samples: Sequence[Sample]
    files: Sequence[FileFacts | None]
    pictures: Sequence[str]
    collections: Mapping[str, str]
    views: Sequence[np.ndarray]
    copies: int
    bad: Mapping[Path, str]


def _gather(
    settings: Settings, console: Console, leave_out: str, cache: Path, alone: bool
) -> _ProbeData | None:
    """Gather pictures, backbone and features; return None in all processes but the first."""
    dataset, paths = _choose_pictures(settings, console, leave_out)
    # They change no classifier, and of one without a source only the classifier is used.
    collections = {} if leave_out else settings.probe.collections
    by_source = match_collections(collections, {sample.source for sample in dataset.samples})
    # Checked early, like the picture counts.
    assign_folds(dataset.samples, settings.training.seed, by_source)
    frozen = freeze_backbone(settings, console)
    with nullcontext(Group()) if alone else join_group() as group:
        found = _compute_features(settings, console, group, frozen, cache, paths)
        if not group.first:
            return None
    check_unreadable_share(len(found.bad), dataset)
    samples = [dataset.samples[place] for place in found.places]
    check_picture_counts(samples, LEAST_PICTURES_PER_CLASS)
    originals = [paths[place] for place in found.places]
    facts = read_original_facts(originals, samples, dataset.resized)
    pairs = zip(paths, dataset.samples, strict=True)
    return _ProbeData(
        dataset=dataset,
        frozen=frozen,
        samples=samples,
        files=facts,
        pictures=_identify_pictures(originals, facts),
        collections=by_source,
        views=found.views,
        copies=sum(path == sample.path for path, sample in pairs) if dataset.resized else 0,
        bad=found.bad,
    )


def _identify_pictures(paths: Sequence[Path], facts: Sequence[FileFacts | None]) -> list[str]:
    """Return a short hash of each picture's name and size in bytes, which tells those of a source apart."""
    pairs = zip(paths, facts, strict=True)
    return [hash_text(f"{path.name}\0{file and file.bytes}")[:8] for path, file in pairs]


def _choose_pictures(settings: Settings, console: Console, leave_out: str) -> tuple[Dataset, list[Path]]:
    """Choose the training pictures, max_pictures at most, and find the original file of each."""
    dataset = load_probe_dataset(settings, "train", leave_out)
    warn_about_skipped(dataset, console)
    # Checked early, before anything is loaded, and again without the unreadable pictures.
    check_picture_counts(dataset.samples, LEAST_PICTURES_PER_CLASS)
    chosen = choose_training_pictures(dataset.samples, settings.probe.max_pictures, settings.training.seed)
    if len(chosen) < len(dataset.samples):
        console.note(
            f"Using {len(chosen):,} of {len(dataset.samples):,} pictures: the largest sources are cut "
            "(max_pictures under [probe])"
        )
    dataset = replace(dataset, samples=tuple(dataset.samples[place] for place in chosen))
    return dataset, find_originals(settings, "train", [sample.path for sample in dataset.samples])


def _compute_features(
    settings: Settings,
    console: Console,
    group: Group,
    frozen: FrozenBackbone,
    cache: Path,
    paths: Sequence[Path],
) -> Features:
    """Return the pictures' features, cached or computed."""
    if group.first:
        console.note(
            f"Fitting a probe to {plural(len(paths), 'picture')}, {frozen.width:,} features "
            f"each; every view of a picture is saved as JPEG {PROBE_COPIES.quality} first, whatever its "
            "format"
        )
    kept = make_feature_cache(settings, frozen, cache)
    return compute_features(settings, console, group, frozen.engine, kept, paths)


def _cross_validate(settings: Settings, console: Console, found: _ProbeData) -> CrossValidatedFit:
    """Choose the strength on held-out sources, then fit the classifier to all pictures."""
    is_fake = np.array([sample.label == 0 for sample in found.samples])
    weights = compute_sample_weights(found.samples)
    folds = [assign_folds(found.samples, settings.training.seed)]
    if found.collections:
        folds.append(assign_folds(found.samples, settings.training.seed, found.collections))
    strengths = PROBE_STRENGTHS if settings.probe.strength is None else (settings.probe.strength,)
    with console.progress(len(folds) * len(is_fake), "held-out sources") as progress:
        return fit_cross_validated(found.views, is_fake, weights, folds, strengths, progress.advance)


def _save_probe(
    settings: Settings, frozen: FrozenBackbone, fit: CrossValidatedFit, probe: ProbeRecord
) -> str:
    """Write probe.safetensors in place of any other checkpoint; return its hash."""
    facts = ProbeFacts(
        architecture=settings.recipe.architecture,
        weights=frozen.weights,
        layers=probe.layers,
        tokens=probe.tokens,
        centre_square=probe.centre_square,
        seed=frozen.seed,
        strength=probe.strength,
        views=probe.degraded_views,
        size=msgspec.UNSET if settings.recipe.input.size == SIZE else settings.recipe.input.size,
    )
    file = settings.model_folder / PROBE_FILE
    write_probe(file, Probe(frozen.backbone.cpu(), fit.classifier), facts, settings.recipe)
    remove_other_checkpoints(settings, file)
    for name in EPOCH_FILES:
        (settings.model_folder / name).unlink(missing_ok=True)
    return hash_file(file)


def _measure(
    found: _ProbeData, fit: CrossValidatedFit, checkpoint: str
) -> list[tuple[HeldOutScores, HeldOutSources]]:
    """Return the held-out scores and their figures, for each of the fit's folds."""
    is_fake = np.array([sample.label == 0 for sample in found.samples])
    group = partial(group_by_source, is_fake, [sample.source for sample in found.samples])
    fake_pictures, real_pictures = group(found.pictures)
    measured = []
    for folds, margins in zip(fit.folds, fit.margins, strict=True):
        fake, real = group([round(float(margin), 4) for margin in margins])
        scores = HeldOutScores(
            checkpoint=checkpoint,
            fakes_by_source=folds.by_source[0],
            reals_by_source=folds.by_source[1],
            fake=fake,
            real=real,
            by_collection=folds is not fit.folds[0],
            fake_pictures=fake_pictures,
            real_pictures=real_pictures,
        )
        null = score_files(found.files, is_fake, folds.numbers)
        null_by_source = None if null is None else group(null.tolist())
        measured.append((scores, measure_held_out(scores, group(list_shapes(found.files)), null_by_source)))
    return measured


def _read_earlier_scores(settings: Settings) -> HeldOutScores | None:
    """Read the held-out scores of the probe that a fit replaces; None if there is no usable file."""
    folder = settings.model_folder
    try:
        return read_held_out_scores(
            folder, read_training(folder).checkpoint or "", settings.command("train")
        )
    except UserError:
        return None


def _describe_probe(found: _ProbeData, fit: CrossValidatedFit) -> ProbeRecord:
    backbone = found.frozen.backbone
    families, real_sources = count_groups(found.samples)
    return ProbeRecord(
        layers=backbone.layers,
        tokens=backbone.tokens,
        centre_square=found.frozen.squares > 1,
        degraded_views=len(found.views) - 1,
        strength=fit.strength,
        folds=fit.folds[0].count,
        families=families,
        real_sources=real_sources,
        collections={printable(source): printable(name) for source, name in found.collections.items()},
        collection_folds=fit.folds[-1].count if found.collections else 0,
        least_side=min((min(file.width, file.height) for file in found.files if file), default=0),
    )


def _calibrate(scores: HeldOutScores) -> CalibrationRecord | None:
    """Return temperature and thresholds; None if held-out scores are no better than chance."""
    try:
        return calibrate_held_out(scores)
    except UserError:
        return None


def _describe_run(
    settings: Settings, found: _ProbeData, probe: ProbeRecord, calibration: CalibrationRecord | None
) -> TrainingRecord:
    """Return the probe's training.json without the checkpoint's hash."""
    frozen, conditions = found.frozen, gather_conditions(settings, found.dataset)
    return msgspec.structs.replace(
        make_training_record(settings, found.dataset, PROBE_COPIES, conditions),
        precision=frozen.engine.name.split()[-1],
        device=str(choose_device()),
        parameters=sum(parameter.numel() for parameter in frozen.backbone.parameters()),
        probe=probe,
        calibration=calibration,
    )


def _save_records(
    settings: Settings, scores: HeldOutScores, evaluation: Evaluation, training: TrainingRecord
) -> None:
    """Write the held-out scores, the run's record and the evaluation."""
    folder, checkpoint = settings.model_folder, scores.checkpoint
    write_held_out_scores(folder, scores)
    write_training(folder, msgspec.structs.replace(training, checkpoint=checkpoint))
    write_evaluation(folder / EVALUATION, evaluation)


def describe_probe(settings: Settings, fitted: FittedProbe) -> list[str]:
    """Describe the result of a fit."""
    probe, folder = fitted.probe, settings.model_folder
    held_out = fitted.evaluation.held_out
    lines = describe_faults(fitted.bad)
    if fitted.copies:
        lines.append(
            f"{plural(fitted.copies, 'original')} {'is' if fitted.copies == 1 else 'are'} missing: the "
            "resized copies were used, re-encoded so that formats do not leak the class."
        )
    lines += [
        f"Fitted {settings.model} to {plural(fitted.pictures, 'picture')} in "
        f"{format_duration(fitted.seconds)}: families of fakes {probe.families:,}, real sources "
        f"{probe.real_sources:,}, features {fitted.features:,}, strength {probe.strength:g}",
        f"Saved: {folder / PROBE_FILE}, {TRAINING}, {EVALUATION} and {HELD_OUT_SCORES}",
        f"Next, test it: {settings.command('test')}",
        *describe_held_out(probe, *held_out),
        *describe_change(fitted.earlier, fitted.scores),
        *describe_shape_effect(held_out[0].auc, held_out[0].auc_same_shape),
        *describe_null(held_out[0].auc, held_out[0].null_auc),
        *describe_needed_sources(fitted.scores),
        *(
            describe_thresholds(settings.model, fitted.calibration)
            if fitted.calibration
            else [f"With {held_out[0].condition} it is no better than chance, so no thresholds are set."]
        ),
    ]
    return lines
