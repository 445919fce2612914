"""Downloads that failed, remembered for a day, so that nobody waits for them each time.

Nothing here imports torch or timm, which take seconds.
"""

import hashlib
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.records.record import NotNegative, Record, read_record, write_record
from fakedetect.core.settings.model_folder import NETWORK
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


def cache_folder() -> Path:
    """Where this user's programs keep what they can do without."""
    usual = {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(sys.platform, ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / usual) / "fakedetect"


def _record_file(architecture: str) -> Path:
    name = hashlib.sha256(architecture.encode()).hexdigest()[:16]
    return cache_folder() / f"failed_download_{name}.json"


def remember_failure(architecture: str, folder: Path, files: tuple[str, ...]) -> None:
    """Keep that a download failed just now; where nothing can be written it is tried each time.

    Args:
        folder: where what was downloaded would be.
        files: its files there, or patterns of them.
    """
    record = FailedDownload(architecture=architecture, when=time.time(), folder=str(folder), files=files)
    # A home that cannot be found is a RuntimeError.
    with suppress(UserError, OSError, RuntimeError):
        _record_file(architecture).parent.mkdir(parents=True, exist_ok=True)
        write_record(_record_file(architecture), record)


def failed_lately(settings: Settings) -> bool:
    """Whether the weights that the chosen model needs could not be downloaded within the last day, and are
    not there yet."""
    recipe = settings.written[settings.model]
    # Without them it answers too, by a network that was kept, and it may have a file of its own.
    if recipe.weights or (settings.model_folder / NETWORK).is_file():
        return False
    try:
        found = read_record(_record_file(recipe.architecture), FailedDownload, "Remove it.")
    except (UserError, OSError, RuntimeError):
        return False
    if found is None or found.architecture != recipe.architecture:
        return False
    recent = 0 <= time.time() - found.when < SECONDS_REMEMBERED
    return recent and not any(any(Path(found.folder).glob(file)) for file in found.files)
