"""A CSV that a stopped check leaves for the next one."""

from pathlib import Path

from fakedetect.inference.resumable_csv import Records
from fakedetect.inference.stamps import Judges
from fakedetect.models.processes import Group

COLUMNS = ("path", "verdict")
JUDGES = Judges("tiny", "0123", "")


def test_a_run_stopped_before_its_first_row_leaves_nothing_and_later_ones_their_rows(
    tmp_path: Path,
) -> None:
    Records(tmp_path / "a.csv", COLUMNS, {}, Group(), JUDGES).close()
    assert not list(tmp_path.iterdir())
    records = Records(tmp_path / "a.csv", COLUMNS, {}, Group(), JUDGES)
    records.add([{"path": "x.png", "verdict": "real"}])
    records.close()
    again = Records(tmp_path / "a.csv", COLUMNS, {}, Group(), JUDGES)
    again.close()
    assert again.resumed == 1 and (tmp_path / "a.csv.partial").is_file()
