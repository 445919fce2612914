"""Downloads that failed, remembered for a day, so that nobody waits for them each time.

Nothing here imports torch or timm, which take seconds.
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
    """Weights of timm or torchvision that could not be downloaded, `when` in seconds since 1970.

    `files`: patterns of what would lie in `folder`, had they been downloaded or put there by hand.
    """

    architecture: str
    when: NotNegative
    folder: str
    files: tuple[str, ...]


def _record_file(architecture: str) -> Path:
    return derived_folder("downloads", architecture) / "failed.json"


def remember_failure(architecture: str, folder: Path, files: tuple[str, ...]) -> None:
    """Keep that a download failed just now; where nothing can be written it is tried each time.

    Args:
        folder: where what was downloaded would be.
        files: its files there, or patterns of them.
    """
    record = FailedDownload(architecture=architecture, when=time.time(), folder=str(folder), files=files)
    with suppress(UserError, OSError):
        _record_file(architecture).parent.mkdir(parents=True, exist_ok=True)
        write_record(_record_file(architecture), record)


def failed_lately(settings: Settings) -> bool:
    """Whether the weights that the chosen model needs could not be downloaded within the last day, and are
    not there yet."""
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
