"""A text in a file's metadata, with the place where it stands."""

from dataclasses import dataclass

MOST_TEXT = 64 * 1024
"""Characters of a text that are looked at: what follows them says nothing of a file's origin."""


@dataclass(frozen=True)
class Field:
    """A text in a file and where it stands: 'PNG Software', 'EXIF Make', 'XMP CreatorTool', …"""

    where: str
    text: str

    @property
    def name(self) -> str:
        """The field's own name in lower case, without that of the metadata in which it stands."""
        return self.where.partition(" ")[2].lower()


def decode(value: object) -> str:
    """A field's value as text of at most MOST_TEXT characters."""
    if isinstance(value, bytes):
        value = value[: 2 * MOST_TEXT].decode("utf-8", "replace")
    return str(value)[:MOST_TEXT]
