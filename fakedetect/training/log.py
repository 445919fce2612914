"""A run's epochs: training_log.csv, the loss plot, and option 3.4, which shows both."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.records.csv_files import read_csv
from fakedetect.core.records.training import Epoch, read_training
from fakedetect.core.settings.model_folder import LOG, LOSS_PLOT, checkpoint_file, is_probe
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, open_picture
from fakedetect.core.terminal.progress import percent
from fakedetect.images.sheets import (
    TRAINING_COLOUR,
    VALIDATION_COLOUR,
    escape_text,
    make_panels,
    save_figure,
    set_round_ticks,
)


def find_best_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the lowest validation loss, the earliest on a tie."""
    return min(epochs, key=lambda epoch: epoch.val_loss)


def describe_best_epoch(epochs: Sequence[Epoch]) -> str:
    """Describe the best epoch in one line."""
    best = find_best_epoch(epochs)
    figures = f"validation loss {best.val_loss:.4f}, accuracy {percent(best.val_accuracy, 2)}"
    return f"Best epoch: {best.epoch} ({figures})"


def read_log(path: Path) -> list[Epoch]:
    """Read a training_log.csv; extra columns, which older versions wrote, are ignored.

    Raises:
        UserError: the file is missing or damaged.
    """
    renew = "Train again to rewrite it."
    rows = read_csv(path, Epoch.__struct_fields__, renew)
    if rows is None:
        raise UserError(f"There is no {path}. Train the model first.")
    try:
        epochs = msgspec.convert(rows, list[Epoch], strict=False)
    except msgspec.ValidationError as error:
        raise UserError(f"{path} cannot be used: {error}. {renew}") from None
    if not epochs:
        raise UserError(f"{path} contains no epochs. {renew}")
    return epochs


def read_epochs(folder: Path, checkpoint: str) -> list[Epoch]:
    """Read a model folder's training_log.csv.

    Returns:
        No epochs if the log is missing, damaged or belongs to another checkpoint.
    """
    try:
        return read_log(folder / LOG) if read_training(folder).is_of(checkpoint) else []
    except UserError:
        return []


def write_log(folder: Path, epochs: list[Epoch]) -> None:
    """Write training_log.csv and the loss plot."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, Epoch.__struct_fields__)
    writer.writeheader()
    writer.writerows(map(msgspec.structs.asdict, epochs))
    write_text(folder / LOG, table.getvalue())
    draw_loss_plot(epochs, folder / LOSS_PLOT)


def _mark_best(axes: Axes, best: Epoch) -> None:
    axes.axvline(best.epoch, color="grey", linestyle="--", label=f"best epoch: {best.epoch}")


def _finish(axes: Axes, title: str, quantity: str) -> None:
    axes.set(xlabel="Epoch", ylabel=quantity, title=escape_text(title))
    set_round_ticks(axes.xaxis, integer=True)
    set_round_ticks(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend()


def plot_losses(axes: Axes, epochs: Sequence[Epoch], title: str) -> None:
    """Plot training and validation loss over the epochs, with the best epoch marked."""
    numbers = [epoch.epoch for epoch in epochs]
    for label, colour, losses in (
        ("Training Loss", TRAINING_COLOUR, [epoch.train_loss for epoch in epochs]),
        ("Validation Loss", VALIDATION_COLOUR, [epoch.val_loss for epoch in epochs]),
    ):
        axes.plot(numbers, losses, marker="o", color=colour, label=label)
    _mark_best(axes, find_best_epoch(epochs))
    _finish(axes, title, "Loss (cross entropy)")
    axes.set_ylim(bottom=0)


def plot_accuracy(axes: Axes, epochs: Sequence[Epoch], title: str) -> None:
    """Plot validation accuracy over the epochs, with the best epoch marked."""
    accuracy = [100 * epoch.val_accuracy for epoch in epochs]
    numbers = [epoch.epoch for epoch in epochs]
    axes.plot(numbers, accuracy, marker="o", color=VALIDATION_COLOUR, label="Validation accuracy")
    _mark_best(axes, find_best_epoch(epochs))
    _finish(axes, title, "Validation accuracy (%)")
    axes.set_ylim(0, 102)


def draw_loss_plot(epochs: Sequence[Epoch], path: Path) -> None:
    """Draw the loss plot of the course project: training and validation loss over the epochs."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    plot_losses(figure.subplots(), epochs, "Training vs. Validation Loss")
    save_figure(figure, path)


def draw_loss_curves(runs: Mapping[str, Sequence[Epoch]], path: Path) -> None:
    """Draw one loss plot per model, side by side on one scale."""
    figure, axes_list = make_panels(len(runs), "Training vs. Validation Loss")
    for axes, (name, epochs) in zip(axes_list, runs.items(), strict=True):
        plot_losses(axes, epochs, name)
    right, top = (max(get(axes)[1] for axes in axes_list) for get in (Axes.get_xlim, Axes.get_ylim))
    left = min(axes.get_xlim()[0] for axes in axes_list)
    for axes in axes_list:
        axes.set(xlim=(left, right), ylim=(0, top))
    save_figure(figure, path)


def show_loss_graph(settings: Settings, console: Console) -> Outcome:
    """Draw loss_plot.jpg from the log of an earlier run, list its epochs and open the plot."""
    log = settings.model_folder / LOG
    if is_probe(checkpoint_file(settings)):
        raise UserError(f"{settings.model} is a probe: it is fitted in one step and has no epochs.")
    if not log.is_file():
        raise UserError(f"There is no {log}. Train the model first: {settings.command('train')}")
    epochs = read_log(log)
    draw_loss_plot(epochs, settings.model_folder / LOSS_PLOT)
    best = find_best_epoch(epochs)
    lines = ["epoch  train loss  val loss  val accuracy  seconds  img/s"]
    for epoch in epochs:
        lines.append(
            f"{epoch.epoch:5}  {epoch.train_loss:10.4f}  {epoch.val_loss:8.4f}  "
            f"{percent(epoch.val_accuracy, 2):>12}  {epoch.seconds:7.1f}  {epoch.images_per_second:5.1f}"
            f"{'  best' if epoch is best else ''}"
        )
    plot = settings.model_folder / LOSS_PLOT
    opened = console.interactive and open_picture(plot)
    lines += [
        f"Loss graph: {plot}{'' if opened else ' (open it with a picture viewer)'}",
        describe_best_epoch(epochs),
    ]
    return Outcome("\n".join(lines))
