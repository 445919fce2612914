"""Records and their files: whatever a file holds, a record or one line about it."""

import time
from pathlib import Path

import msgspec
import pytest

from fakedetect.core.errors import UserError
from fakedetect.core.records.record import Count, Positive, Record, Share, read_record, write_record


class Inner(Record):
    share: Share


class Outer(Record):
    temperature: Positive
    count: Count = 0
    inner: dict[str, Inner] = msgspec.field(default_factory=dict)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = Outer(temperature=0.1 + 0.2, count=3, inner={"ü\n": Inner(share=1.0)})
    write_record(path, record)
    assert read_record(path, Outer, "Again.") == record
    assert path.read_text(encoding="utf-8").startswith('{\n  "temperature": 0.30000000000000004,')


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none.json", Outer, "Again.") is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 200_000, "expected `object`"),
        (b'{"temperature": ' + b"[" * 200_000, "$.temperature"),
        (b'{"other": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"other": ' + b'{"a": ' * 200_000, "nested too deeply"),
        (b'{"temperature": 1' + b"0" * 400 + b"}", "$.temperature"),
        (b'{"temperature": 1e400}', "$.temperature"),
        (b'{"temperature": NaN}', "malformed"),
        (b'{"temperature": 0}', "$.temperature"),
        (b'{"temperature": true}', "$.temperature"),
        (b'{"temperature": "1"}', "$.temperature"),
        (b'{"count": 1}', "`temperature`"),
        (b'{"temperature": 1, "count": -1}', "$.count"),
        (b'{"temperature": 1, "inner": {"a": {"share": 1.5}}}', "share"),
        (b'{"temperature": 1, "inner": {"a": {"share": -5}}}', "share"),
        (b'{"temperature": 1, "inner": []}', "$.inner"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        read_record(path, Outer, "Train again.")
    assert time.monotonic() - start < 2
    text = str(caught.value)
    assert str(path) in text and text.endswith("Train again.") and "\n" not in text
    assert says.lower() in text.lower()


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(UserError, match="Cannot read"):
        read_record(tmp_path / "record.json", Outer, "Again.")
