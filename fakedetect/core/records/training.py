"""The records that `train` and `fit-thresholds` write: training.json and out_of_fold.json."""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.record import (
    Count,
    NotNegative,
    Record,
    Share,
    Temperature,
    read_record,
    write_record,
)
from fakedetect.core.settings.model_folder import HELD_OUT_SCORES, TRAINING
from fakedetect.core.settings.model_input import LANCZOS, SIZE
from fakedetect.core.settings.recipes import (
    ALL_TOKENS,
    REFERENCE,
    TOKENS,
    UNBALANCED,
    AtLeastOne,
    Balance,
    Input,
    Interpolation,
    Means,
    Recipe,
    Seed,
    Size,
    Stds,
    one_of,
)


class Epoch(Record, frozen=True, kw_only=True):
    """A row of training_log.csv."""

    epoch: Count
    train_loss: NotNegative
    val_loss: NotNegative
    val_accuracy: Share
    seconds: NotNegative
    images_per_second: NotNegative


class StartedEpoch(Record, frozen=True, kw_only=True):
    """A process's progress in an epoch that has not ended.

    `steps` of `of_steps` are done, on `count` pictures with `loss` as the sum of their losses, in
    `seconds`; `faults` has the reasons of unreadable pictures by path.
    """

    steps: Count
    of_steps: Count
    loss: NotNegative
    count: Count
    seconds: NotNegative
    faults: dict[str, str]


class RunConditions(Record, frozen=True, kw_only=True):
    """What must be unchanged for an unfinished run to continue exactly.

    Runs of earlier versions lack the fields that have a default: those versions had one recipe, held
    nothing out, used only the reference's size, and showed every picture unmodified once an epoch.
    """

    architecture: str
    batch_size: AtLeastOne
    optimizer: str
    learning_rate: NotNegative
    recipe: str = REFERENCE
    weight_decay: NotNegative
    size: Size = SIZE
    interpolation: Interpolation = LANCZOS
    mean: Means
    std: Stds
    seed: Seed
    precision: str
    validation_share: Share
    pictures: str
    leave_out: str = ""
    balance: Balance = UNBALANCED
    degrade: bool = False


class SplitRecord(Record, frozen=True, kw_only=True):
    """The numbers of training and validation pictures."""

    train: Count | None = None
    validation: Count | None = None
    validation_share: Share | None = None


class KindRecord(Record, frozen=True, kw_only=True):
    """How the training copies were made."""

    aligned: bool = False
    fast: bool = False
    quality: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None


class DataRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The training pictures. `pictures` is a hash of their names, `leave_out` the held-out source.

    The user's review has left out so many `removed` ones, and `moved` so many to the other class; None for
    none.
    """

    folder: str | None = None
    count: Count | None = None
    fake: Count | None = None
    real: Count | None = None
    left_out: Count | None = None
    removed: Count | None = None
    moved: Count | None = None
    kind: KindRecord | None = None
    pictures: str | None = None
    leave_out: str | None = None


class ValidationRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The results of the thresholds on the validation pictures on which they were fitted.

    Versions before 0.6 did not write the last two; for held-out sources, out_of_fold.json has them.
    """

    fake: Count
    real: Count
    real_called_fake: Share
    fake_called_real: Share
    unsure: Share
    ece_before: Share
    ece_after: Share
    fake_called_fake: Share | None = None
    real_called_real: Share | None = None


class CalibrationRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The result of fit-thresholds, valid only for the model with the hash `checkpoint`.

    `held_out_real_sources` and `held_out_families`: the guarantee for real pictures, or for fakes, is for
    held-out sources; the shares in `validation` are then means over sources. `input` is the model input
    used; None if the training record has it.
    """

    temperature: Temperature
    fake_from: Share
    real_below: Share
    checkpoint: str | None = None
    max_false_alarms: Share | None = None
    max_missed: Share | None = None
    validation: ValidationRecord | None = None
    held_out_real_sources: bool = msgspec.field(default=False, name="unseen_real_sources")
    held_out_families: bool = msgspec.field(default=False, name="unseen_families")
    input: Input | None = None

    def __post_init__(self) -> None:
        if self.fake_from < self.real_below:
            raise ValueError("fake_from is below real_below")


class ProbeRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """How a probe was fitted: the backbone's blocks, what was read of them (of TOKENS) and whether of the
    centre square too, the degraded views of each picture, scikit-learn's C, and the numbers of folds,
    families and real sources.

    `collections` has the collection of each source that is in one, `collection_folds` the number of folds
    that hold out whole collections. `least_side` is the shorter side of the smallest picture in pixels, 0
    if unknown. Version 0.6 did not write these.
    """

    layers: tuple[Count, ...]
    tokens: Annotated[str, one_of(TOKENS)] = ALL_TOKENS
    centre_square: bool = False
    degraded_views: Count
    strength: NotNegative
    folds: Count
    families: Count
    real_sources: Count
    collections: dict[str, str] = msgspec.field(default_factory=dict)
    collection_folds: Count = 0
    least_side: Count = 0


class TrainingRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A training run of the file with the hash `checkpoint`; versions before 0.6 did not write the
    hash.

    For a checkpoint from elsewhere, a user may write any part of it by hand; a recipe must be complete
    except for its input.
    """

    model: str | None = None
    checkpoint: str | None = None
    recipe: Recipe | None = None
    pretrained: bool | None = None
    classes: dict[str, str] | None = None
    split: SplitRecord | None = None
    seed: Seed | None = None
    max_epochs: AtLeastOne | None = None
    patience: AtLeastOne | None = None
    precision: str | None = None
    device: str | None = None
    processes: Count | None = None
    compiled: bool | None = None
    parameters: Count | None = None
    data: DataRecord | None = None
    best: Epoch | None = None
    run: RunConditions | None = None
    probe: ProbeRecord | None = None
    finished: str | None = None
    versions: dict[str, str] | None = None
    calibration: CalibrationRecord | None = None

    @property
    def has_recipe(self) -> bool:
        """Whether the record states how the checkpoint was trained; fit-thresholds alone writes one
        too."""
        return self.recipe is not None

    @property
    def input(self) -> Input:
        """The model input of the training, as far as it is recorded."""
        recorded = Input.of(self.recipe) if self.recipe else Input()
        # Records with a normalisation but no size are from versions with one size only.
        is_older = recorded.size is None and recorded.mean is not None
        return recorded.or_else(Input(size=SIZE, interpolation=LANCZOS)) if is_older else recorded

    def is_of(self, checkpoint: str) -> bool:
        """Return whether the record describes the model with this model_hash(); assumed if it has no
        hash."""
        return self.checkpoint is None or self.checkpoint == checkpoint


Margins = Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]


class HeldOutScores(Record, frozen=True, kw_only=True):
    """The probe's margins on training pictures whose source was held out, by source.

    `checkpoint` is the hash of the probe. `fakes_by_source` and `reals_by_source`: whole groups of sources
    of the class were held out; otherwise only single pictures, and nothing is known about other sources.
    `by_collection`: whole collections of sources were held out too. `fake_pictures` and `real_pictures`
    identify the picture of each margin, so that the next fit can be compared on the same pictures; versions
    up to 0.6 did not write these.
    """

    checkpoint: str
    fakes_by_source: bool
    reals_by_source: bool
    fake: dict[str, Margins]
    real: dict[str, Margins]
    by_collection: bool = False
    fake_pictures: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    real_pictures: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.fake or not self.real:
            raise ValueError("both classes need a source")
        for margins, pictures in ((self.fake, self.fake_pictures), (self.real, self.real_pictures)):
            if any(len(pictures[source]) != len(margins.get(source, ())) for source in pictures):
                raise ValueError("each margin needs a picture")


def read_training(folder: Path) -> TrainingRecord:
    """Read the training.json in a model's folder; an empty record if the file is missing.

    Raises:
        UserError: the file cannot be used.
    """
    found = read_record(folder / TRAINING, TrainingRecord, "Correct or remove it, or train again.")
    return found or TrainingRecord()


def write_training(folder: Path, record: TrainingRecord) -> None:
    """Write a model folder's training.json.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    write_record(folder / TRAINING, record)


def read_held_out_scores(folder: Path, checkpoint: str, again: str) -> HeldOutScores | None:
    """Read the held-out margins of a checkpoint by its hash; None if there are none.

    Args:
        again: the command that trains again, for the message.

    Raises:
        UserError: the file cannot be used.
    """
    found = read_record(folder / HELD_OUT_SCORES, HeldOutScores, f"Remove it, or train again: {again}")
    return found if found and found.checkpoint == checkpoint else None


def write_held_out_scores(folder: Path, record: HeldOutScores) -> None:
    """Write a model folder's out_of_fold.json."""
    write_record(folder / HELD_OUT_SCORES, record)
