"""Copies whose original has been moved or deleted: training would still use them, with their old label."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.images.listing import list_images


def find_stale_copies(target: Path, wanted: Iterable[Path]) -> list[Path]:
    """The pictures in a folder of copies that are none of the `wanted` ones.

    With none wanted, nothing is stale: whoever keeps only the copies has deleted all originals.
    """
    expected = set(wanted)
    if not expected or not target.is_dir():
        return []
    return [copy for copy in list_images(target) if copy not in expected]


def delete_copies(copies: Sequence[Path]) -> None:
    """Delete them.

    Raises:
        UserError: one of them cannot be deleted.
    """
    for copy in copies:
        try:
            copy.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"Cannot delete {copy}: {error.strerror}. Close the program that has it open."
            ) from None
