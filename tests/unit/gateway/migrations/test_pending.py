from __future__ import annotations

import pytest

from gateway.migrations import Migration, SchemaMismatch, known, pending

ONE = Migration(1, "0001_one", "aa")
TWO = Migration(2, "0002_two", "bb")
THREE = Migration(3, "0003_three", "cc")


def test_an_empty_database_needs_every_step() -> None:
    assert pending([], [ONE, TWO]) == [ONE, TWO]


def test_only_the_missing_steps_are_taken() -> None:
    assert pending([ONE], [ONE, TWO, THREE]) == [TWO, THREE]
    assert pending([ONE, TWO], [ONE, TWO]) == []


def test_a_newer_schema_is_refused_by_name() -> None:
    with pytest.raises(SchemaMismatch, match=r"0003_three, which is newer .* Run a newer"):
        pending([ONE, TWO, THREE], [ONE, TWO])


def test_a_step_that_was_changed_after_it_was_applied_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="another 0001_one"):
        pending([Migration(1, "0001_one", "other")], [ONE, TWO])


def test_a_half_migrated_schema_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="half migrated: 0002_two"):
        pending([ONE, THREE], [ONE, TWO, THREE])


def test_the_steps_of_this_version_are_numbered_without_gaps() -> None:
    assert [step.version for step in known()] == list(range(1, len(known()) + 1))
