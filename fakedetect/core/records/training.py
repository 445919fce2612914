"""What `train` and `fit-thresholds` leave of a run: training.json and out_of_fold.json."""

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
from fakedetect.core.settings.model_folder import OUT_OF_FOLD, TRAINING
from fakedetect.core.settings.model_input import LANCZOS, SIZE
from fakedetect.core.settings.recipes import (
    REFERENCE,
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
    """How far a process has come with an epoch that has not ended.

    `steps` of its `of_steps` are done, on `count` pictures with this sum of their losses, in so many
    `seconds`; `faults` has the unreadable pictures' reasons by path.
    """

    steps: Count
    of_steps: Count
    loss: NotNegative
    count: Count
    seconds: NotNegative
    faults: dict[str, str]


class RunConditions(Record, frozen=True, kw_only=True):
    """What has to be the same for an unfinished run to go on as if it had not been stopped.

    Runs of earlier versions lack what has a default here: they knew no other recipe, left nothing out,
    took pictures of the reference's size only, and showed every picture as it is, once an epoch.
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
    """How many pictures were trained on and how many validated on."""

    train: Count | None = None
    validation: Count | None = None
    validation_share: Share | None = None


class KindRecord(Record, frozen=True, kw_only=True):
    """How the copies were made that the model learned from."""

    aligned: bool = False
    fast: bool = False
    quality: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None


class DataRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The training pictures. `pictures` is a hash of their names, `leave_out` the source left out.

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
    """What the thresholds gave on the validation pictures that they were fitted on.

    Versions before 0.6 did not write the last two; out_of_fold.json tells them of sources left out.
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
    """What fit-thresholds found, for the model with the hash `checkpoint` and no other.

    `unseen_real_sources` and `unseen_families`: the promise about real pictures, or about fakes, holds for
    those of sources that the model has not seen; its shares of `validation` are means over sources then.
    `input` is what the model was asked with; None where its run's record says it.
    """

    temperature: Temperature
    fake_from: Share
    real_below: Share
    checkpoint: str | None = None
    max_false_alarms: Share | None = None
    max_missed: Share | None = None
    validation: ValidationRecord | None = None
    unseen_real_sources: bool = False
    unseen_families: bool = False
    input: Input | None = None

    def __post_init__(self) -> None:
        if self.fake_from < self.real_below:
            raise ValueError("fake_from is below real_below")


class ProbeRecord(Record, frozen=True, kw_only=True):
    """How a probe was fitted: the backbone's blocks, the degraded views of each picture, scikit-learn's C,
    the folds, and how many families and real sources there were."""

    layers: tuple[Count, ...]
    degraded_views: Count
    strength: NotNegative
    folds: Count
    families: Count
    real_sources: Count


class TrainingRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A training run, of the file with the hash `checkpoint`; versions before 0.6 did not write that.

    Who brings a checkpoint from elsewhere may tell any part of it, or none; a recipe is whole, but for its
    input.
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
    def known(self) -> bool:
        """Whether it says how the checkpoint was trained; fit-thresholds alone leaves a record too."""
        return self.recipe is not None

    @property
    def input(self) -> Input:
        """What the model was trained with, as far as it is said."""
        said = Input.of(self.recipe) if self.recipe else Input()
        # What says how the values were normalised and no size was trained before there were others.
        before = said.size is None and said.mean is not None
        return said.or_else(Input(size=SIZE, interpolation=LANCZOS)) if before else said

    def is_of(self, checkpoint: str) -> bool:
        """Whether it describes the model with this hash, by model_hash(); assumed where it does not say."""
        return self.checkpoint is None or self.checkpoint == checkpoint


Margins = Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]


class OutOfFold(Record, frozen=True, kw_only=True):
    """What the probe of the hash `checkpoint` said of each training picture while its source was left out:
    margins by source.

    `fakes_by_source` and `reals_by_source`: whole groups of sources of that class were left out; else only
    pictures were, and nothing is known of other sources.
    """

    checkpoint: str
    fakes_by_source: bool
    reals_by_source: bool
    fake: dict[str, Margins]
    real: dict[str, Margins]

    def __post_init__(self) -> None:
        if not self.fake or not self.real:
            raise ValueError("both classes need a source")


def read_training(folder: Path) -> TrainingRecord:
    """The training.json in a model's folder; a record without any part where there is none.

    Raises:
        UserError: the file does not fit.
    """
    found = read_record(folder / TRAINING, TrainingRecord, "Correct or remove it, or train again.")
    return found or TrainingRecord()


def write_training(folder: Path, record: TrainingRecord) -> None:
    """Write a model folder's training.json.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    write_record(folder / TRAINING, record)


def read_out_of_fold(folder: Path, checkpoint: str, again: str) -> OutOfFold | None:
    """The margins in a model's folder; None where there are none of this checkpoint, by its hash.

    Args:
        again: the command that trains again, for the message.

    Raises:
        UserError: the file does not fit.
    """
    found = read_record(folder / OUT_OF_FOLD, OutOfFold, f"Remove it, or train again: {again}")
    return found if found and found.checkpoint == checkpoint else None


def write_out_of_fold(folder: Path, record: OutOfFold) -> None:
    """Write a model folder's out_of_fold.json."""
    write_record(folder / OUT_OF_FOLD, record)
