"""PNG files whose picture is good, whatever is wrong with what is said beside it."""

import struct
from typing import IO, cast

from PIL import PngImagePlugin

OF_THE_PICTURE = frozenset((b"tRNS", b"acTL", b"fcTL", b"fdAT"))
"""Chunks that a decoder may ignore, but without which the picture would be another."""

TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))


class PngStream(PngImagePlugin.PngStream):
    """Pillow's reader of chunks, which refuses the whole picture for a text or profile that is too large,
    or for a faulty one; here such a chunk is ignored. Its checksum still counts."""

    def call(self, cid: bytes, pos: int, length: int) -> bytes:
        """Take in a chunk; returns its bytes."""
        if cid[:1].isupper() or cid in OF_THE_PICTURE:
            return super().call(cid, pos, length)
        # Each text is limited, but not how many there are.
        full = cid in TEXTS and self.text_memory > PngImagePlugin.MAX_TEXT_MEMORY
        if not full:
            try:
                return super().call(cid, pos, length)
            except (LookupError, SyntaxError, ValueError, struct.error):
                pass
        file = cast(IO[bytes], self.fp)
        file.seek(pos)
        return file.read(length)


def ignore_faulty_chunks() -> None:
    """Have Pillow read PNG files so, in the whole process."""
    PngImagePlugin.PngStream = PngStream  # type: ignore[misc]
