"""docs/failures.md says of each failure what becomes of calls, and names tests that show it."""

from __future__ import annotations

import pytest

from tests.support.documents import ROOT, missing_tests, named_tests

TEXT = (ROOT / "docs/failures.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ")]
FAILURES = [row for row in ROWS if not row.startswith(("| what is", "| ---"))]


def test_every_named_test_exists() -> None:
    assert missing_tests(TEXT) == []


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.split("|")[1].strip())
def test_every_failure_has_its_six_columns_and_a_test(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]

    assert len(cells) == 6
    assert all(cells)
    assert named_tests(cells[-1])
