"""The probe recipe: a line on a pretrained network's frozen features, judged by sources left out of it.

Fine-tuning on few generators learns their traces and forgets what the network knew; a line on frozen
features of many sources generalises better (Ojha et al. 2023). Every view of a picture, clean or degraded,
goes through one encoder, whatever format the file has, and every picture's score for strength, thresholds
and figures comes from a line that was fitted without the picture's source.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file
from fakedetect.core.records.evaluation import Evaluation, HeldOutSources, write_evaluation
from fakedetect.core.records.training import (
    CalibrationRecord,
    HeldOutScores,
    ProbeRecord,
    TrainingRecord,
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
from fakedetect.core.terminal.console import Console, plural
from fakedetect.core.terminal.progress import format_duration
from fakedetect.dataset.samples import (
    Dataset,
    Sample,
    describe_faults,
    find_originals,
    find_shapes,
    load_for_probe,
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
    assign_folds,
    check_picture_counts,
    choose_training_pictures,
    compute_sample_weights,
    count_groups,
    fit_cross_validated,
)
from fakedetect.models.probe.model import Probe, write_probe
from fakedetect.models.processes import Group, join_group
from fakedetect.training.loop import refuse_too_many
from fakedetect.training.unfinished import (
    begin_record,
    gather_conditions,
    mark_unfinished,
    unfinished_file,
)

STRENGTHS = (0.0003, 0.001, 0.003)
"""scikit-learn's C; of these the one is taken that separates held-out sources best."""

OF_EPOCHS = (LOG, LOSS_PLOT)
"""What an earlier run of epochs has left, and a probe has not."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A probe that was fitted, judged and saved.

    `calibration` is None where it knows nothing of sources left out. `copies` is the number of pictures
    whose original is gone; `bad` has the reasons of the unreadable ones.
    """

    probe: ProbeRecord
    held_out: HeldOutSources
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
) -> Fitted | None:
    """Fit the chosen model's probe, judge it by sources left out, and save both in its folder.

    Args:
        leave_out: a source whose pictures have no part in it, '' for none.
        cache: the file of features; that of the model's folder otherwise.
        alone: in this process only, even where torchrun has started others, which may have ended.

    Returns:
        None in all but the first of several processes.

    Raises:
        UserError: the pictures, the backbone or its weights cannot be used.
    """
    start = time.monotonic()
    found = _gather(settings, console, leave_out, cache or features_file(settings.model_folder), alone)
    if found is None:
        return None
    judged = _judge(settings, console, found)
    probe = _describe_probe(found, judged)
    # An earlier model is replaced when nothing is left to be waited for. Until all that belongs to the new
    # one is written, the run is unfinished.
    mark_unfinished(settings.model_folder, gather_conditions(settings, found.dataset))
    checkpoint = _save_line(settings, found.frozen, judged, probe)
    scores, held_out = _measure(found, judged, checkpoint)
    calibration = _calibrate(scores)
    _save_records(settings, scores, held_out, _describe_run(settings, found, probe, calibration))
    unfinished_file(settings.model_folder).unlink(missing_ok=True)
    return Fitted(
        probe=probe,
        held_out=held_out,
        calibration=calibration,
        pictures=len(found.samples),
        features=found.frozen.backbone.width,
        copies=found.copies,
        bad=found.bad,
        seconds=time.monotonic() - start,
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a line is fitted to: the readable pictures, their shapes and the views (N, D) of each.

    `copies` is the number of the dataset's pictures whose original is gone.
    """

    dataset: Dataset
    frozen: FrozenBackbone
    samples: Sequence[Sample]
    shapes: Sequence[str]
    views: Sequence[np.ndarray]
    copies: int
    bad: Mapping[Path, str]


def _gather(
    settings: Settings, console: Console, leave_out: str, cache: Path, alone: bool
) -> _Found | None:
    """The pictures, the backbone and the features; None in all but the first of several processes."""
    dataset, paths = _choose_pictures(settings, console, leave_out)
    frozen = freeze_backbone(settings, console)
    with nullcontext(Group()) if alone else join_group() as group:
        found = _look(settings, console, group, frozen, cache, paths)
        if not group.first:
            return None
    refuse_too_many(len(found.bad), dataset)
    samples = [dataset.samples[place] for place in found.places]
    check_picture_counts(samples, LEAST_PICTURES_PER_CLASS)
    pairs = zip(paths, dataset.samples, strict=True)
    return _Found(
        dataset=dataset,
        frozen=frozen,
        samples=samples,
        shapes=find_shapes([paths[place] for place in found.places], samples, dataset.resized),
        views=found.views,
        copies=sum(path == sample.path for path, sample in pairs) if dataset.resized else 0,
        bad=found.bad,
    )


def _choose_pictures(settings: Settings, console: Console, leave_out: str) -> tuple[Dataset, list[Path]]:
    """The training pictures, max_pictures at most, and for each the file that it is made of."""
    dataset = load_for_probe(settings, "train", leave_out)
    warn_about_skipped(dataset, console)
    # Before anything is loaded; those that cannot be read are known later.
    check_picture_counts(dataset.samples, LEAST_PICTURES_PER_CLASS)
    chosen = choose_training_pictures(dataset.samples, settings.probe.max_pictures, settings.training.seed)
    if len(chosen) < len(dataset.samples):
        console.note(
            f"Using {len(chosen):,} of {len(dataset.samples):,} pictures: the largest sources are cut "
            "(max_pictures under [probe])"
        )
    dataset = replace(dataset, samples=tuple(dataset.samples[place] for place in chosen))
    return dataset, find_originals(settings, "train", [sample.path for sample in dataset.samples])


def _look(
    settings: Settings,
    console: Console,
    group: Group,
    frozen: FrozenBackbone,
    cache: Path,
    paths: Sequence[Path],
) -> Features:
    """The features of the pictures, from the cache or computed."""
    if group.first:
        console.note(
            f"Fitting a probe to {plural(len(paths), 'picture')}, {frozen.backbone.width:,} features "
            f"each; every view of a picture is saved as JPEG {PROBE_COPIES.quality} first, whatever its "
            "format"
        )
    kept = make_feature_cache(settings, frozen, cache)
    return compute_features(settings, console, group, frozen.engine, kept, paths)


def _judge(settings: Settings, console: Console, found: _Found) -> CrossValidatedFit:
    """Choose the strength by the sources left out, and fit the line on all pictures."""
    is_fake = np.array([sample.label == 0 for sample in found.samples])
    weights = compute_sample_weights(found.samples)
    folds = assign_folds(found.samples, settings.training.seed)
    strengths = STRENGTHS if settings.probe.strength is None else (settings.probe.strength,)
    with console.progress(len(is_fake), "held-out sources") as progress:
        return fit_cross_validated(found.views, is_fake, weights, folds, strengths, progress.advance)


def _save_line(
    settings: Settings, frozen: FrozenBackbone, judged: CrossValidatedFit, probe: ProbeRecord
) -> str:
    """Write probe.safetensors in place of any other checkpoint; returns its hash."""
    facts = ProbeFacts(
        architecture=settings.recipe.architecture,
        weights=frozen.weights,
        layers=probe.layers,
        seed=frozen.seed,
        strength=probe.strength,
        views=probe.degraded_views,
        size=msgspec.UNSET if settings.recipe.input.size == SIZE else settings.recipe.input.size,
    )
    file = settings.model_folder / PROBE_FILE
    write_probe(file, Probe(frozen.backbone.cpu(), judged.classifier), facts, settings.recipe)
    remove_other_checkpoints(settings, file)
    for name in OF_EPOCHS:
        (settings.model_folder / name).unlink(missing_ok=True)
    return hash_file(file)


def _measure(
    found: _Found, judged: CrossValidatedFit, checkpoint: str
) -> tuple[HeldOutScores, HeldOutSources]:
    """The answers to pictures whose source was left out, and their figures."""
    is_fake = np.array([sample.label == 0 for sample in found.samples])
    sources = [sample.source for sample in found.samples]
    fake, real = group_by_source(is_fake, sources, [round(float(margin), 4) for margin in judged.margins])
    scores = HeldOutScores(
        checkpoint=checkpoint,
        fakes_by_source=judged.folds.by_source[0],
        reals_by_source=judged.folds.by_source[1],
        fake=fake,
        real=real,
    )
    return scores, measure_held_out(scores, group_by_source(is_fake, sources, found.shapes))


def _describe_probe(found: _Found, judged: CrossValidatedFit) -> ProbeRecord:
    families, real_sources = count_groups(found.samples)
    return ProbeRecord(
        layers=found.frozen.backbone.layers,
        degraded_views=len(found.views) - 1,
        strength=judged.strength,
        folds=judged.folds.count,
        families=families,
        real_sources=real_sources,
    )


def _calibrate(scores: HeldOutScores) -> CalibrationRecord | None:
    """Temperature and thresholds; None where sources left out were told apart no better than by chance."""
    try:
        return calibrate_held_out(scores)
    except UserError:
        return None


def _describe_run(
    settings: Settings, found: _Found, probe: ProbeRecord, calibration: CalibrationRecord | None
) -> TrainingRecord:
    """The probe's training.json, but for the hash of its file."""
    frozen, conditions = found.frozen, gather_conditions(settings, found.dataset)
    return msgspec.structs.replace(
        begin_record(settings, found.dataset, PROBE_COPIES, conditions),
        precision=frozen.engine.name.split()[-1],
        device=str(choose_device()),
        parameters=sum(parameter.numel() for parameter in frozen.backbone.parameters()),
        probe=probe,
        calibration=calibration,
    )


def _save_records(
    settings: Settings, scores: HeldOutScores, held_out: HeldOutSources, training: TrainingRecord
) -> None:
    """Write what the sources left out have shown, and the run's record."""
    folder, checkpoint = settings.model_folder, scores.checkpoint
    write_held_out_scores(folder, scores)
    write_training(folder, msgspec.structs.replace(training, checkpoint=checkpoint))
    evaluation = Evaluation(model=settings.model, checkpoint=checkpoint, held_out_sources=held_out)
    write_evaluation(folder / EVALUATION, evaluation)


def describe_probe(settings: Settings, fitted: Fitted) -> list[str]:
    """What the fit of a probe has come to."""
    probe, folder = fitted.probe, settings.model_folder
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
        *describe_held_out(fitted.held_out, probe.folds),
        *describe_needed_sources(fitted.held_out),
        *(
            describe_thresholds(settings.model, fitted.calibration)
            if fitted.calibration
            else ["On held-out sources it is no better than chance, so no thresholds are set."]
        ),
    ]
    return lines
