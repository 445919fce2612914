"""A CSV that a stopped check leaves for the next one."""

from pathlib import Path

import pytest

from fakedetect.checking.judged import Judged, Judges
from fakedetect.checking.results_csv import ResultsCsv

JUDGES = Judges("tiny", "0123", "")
PICTURE = Judged(path=Path("x.png"), verdict="real", model_verdict="real", judges=JUDGES)


def test_a_run_stopped_before_its_first_row_leaves_nothing_and_later_ones_their_rows(
    tmp_path: Path,
) -> None:
    ResultsCsv(tmp_path / "a.csv", JUDGES).close()
    assert not list(tmp_path.iterdir())
    results = ResultsCsv(tmp_path / "a.csv", JUDGES)
    results.add(PICTURE)
    results.close()
    again = ResultsCsv(tmp_path / "a.csv", JUDGES)
    again.close()
    assert again.resumed == 1 and (tmp_path / "a.csv.partial").is_file()


@pytest.mark.parametrize("text", ["[" * 200_000, "", "[]", 'path,verdict\n"x.png', "\0"])
def test_a_damaged_file_of_a_stopped_run_starts_it_over(tmp_path: Path, text: str) -> None:
    results = ResultsCsv(tmp_path / "a.csv", JUDGES)
    results.add(PICTURE)
    results.close()
    (tmp_path / "a.csv.partial").write_text(text, encoding="utf-8")
    again = ResultsCsv(tmp_path / "a.csv", JUDGES)
    again.close()
    assert again.replaced and not again.resumed
