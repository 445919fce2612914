"""Failed downloads, remembered for a day so that not every command waits for them.

This module imports neither torch nor timm, which take seconds to load.
"""

import time
from contextlib import suppress
from pathlib import Path

from fakedetect.core.derived import derived_folder
from fakedetect.core.errors import UserError
from fakedetect.core.records.record import NotNegative, Record, read_record, write_record
from fakedetect.core.settings.settings import Settings

SECONDS_REMEMBERED = 24 * 60 * 60


class FailedDownload(Record, frozen=True, kw_only=True):
    """Weights of timm or torchvision that could not be downloaded; `when` is in seconds since 1970.

    `files`: patterns of the files that `folder` would contain after a download.
    """

    architecture: str
    when: NotNegative
    folder: str
    files: tuple[str, ...]


def _record_file(architecture: str) -> Path:
    return derived_folder("downloads", architecture) / "failed.json"


def remember_failure(architecture: str, folder: Path, files: tuple[str, ...]) -> None:
    """Record that a download failed just now. If nothing can be written, each run tries the download.

    Args:
        folder: where the downloaded files would be.
        files: their names, or patterns of these.
    """
    record = FailedDownload(architecture=architecture, when=time.time(), folder=str(folder), files=files)
    with suppress(UserError, OSError):
        _record_file(architecture).parent.mkdir(parents=True, exist_ok=True)
        write_record(_record_file(architecture), record)


def has_failed_recently(settings: Settings) -> bool:
    """Whether the chosen model's weights are missing and their download failed within the last day."""
    recipe = settings.written[settings.model]
    if recipe.weights:
        return False
    try:
        found = read_record(_record_file(recipe.architecture), FailedDownload, "Remove it.")
    except (UserError, OSError):
        return False
    if found is None or found.architecture != recipe.architecture:
        return False
    recent = 0 <= time.time() - found.when < SECONDS_REMEMBERED
    return recent and not any(any(Path(found.folder).glob(file)) for file in found.files)
