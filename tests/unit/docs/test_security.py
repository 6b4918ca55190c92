"""docs/security.md has a row for each control, none with an empty cell, and names tests."""

from __future__ import annotations

import re

from tests.support.documents import ROOT, missing_tests, named_tests

TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
TABLE = TEXT.partition("## Controls")[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if re.match(r"\| \d", line)
]


def test_every_control_has_a_row() -> None:
    assert [row[0] for row in ROWS] == sorted(
        [*map(str, range(1, 41)), "12a"], key=lambda number: (int(number.strip("a")), number)
    )


def test_no_cell_is_empty_and_every_row_names_a_test() -> None:
    for row in ROWS:
        assert len(row) == 5, row[0]
        assert all(row), row[0]
        assert named_tests(row[-1]), row[0]
        assert re.match(r"yes|partly: \w|no: \w", row[2]), row[0]


def test_every_named_test_exists() -> None:
    assert missing_tests(TEXT) == []
