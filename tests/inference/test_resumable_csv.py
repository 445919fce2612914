"""A CSV that a stopped check leaves for the next one."""

from pathlib import Path

import pytest

from fakedetect.inference.resumable_csv import MadeWith, Records
from fakedetect.inference.stamps import Judges
from fakedetect.models.processes import Group

COLUMNS = ("path", "verdict")
JUDGES = Judges("tiny", "0123", "")


def test_a_run_stopped_before_its_first_row_leaves_nothing_and_later_ones_their_rows(
    tmp_path: Path,
) -> None:
    Records(tmp_path / "a.csv", COLUMNS, MadeWith(), Group(), JUDGES).close()
    assert not list(tmp_path.iterdir())
    records = Records(tmp_path / "a.csv", COLUMNS, MadeWith(), Group(), JUDGES)
    records.add([{"path": "x.png", "verdict": "real"}])
    records.close()
    again = Records(tmp_path / "a.csv", COLUMNS, MadeWith(), Group(), JUDGES)
    again.close()
    assert again.resumed == 1 and (tmp_path / "a.csv.partial").is_file()


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "", "[]", '{"models": {"tiny": [[]]}, "columns": 1}', "\0"]
)
def test_a_damaged_record_of_a_stopped_run_starts_it_over(tmp_path: Path, text: str) -> None:
    records = Records(tmp_path / "a.csv", COLUMNS, MadeWith(), Group(), JUDGES)
    records.add([{"path": "x.png", "verdict": "real"}])
    records.close()
    (tmp_path / "a.csv.partial.json").write_text(text, encoding="utf-8")
    again = Records(tmp_path / "a.csv", COLUMNS, MadeWith(), Group(), JUDGES)
    again.close()
    assert again.replaced and not again.resumed
