"""The modules that are begun first are there."""

from __future__ import annotations

import pytest

from tests.support.collected import SLOWEST
from tests.support.documents import ROOT


@pytest.mark.parametrize("module", SLOWEST)
def test_a_module_that_is_begun_first_is_there(module: str) -> None:
    assert (ROOT / "tests" / module).is_file()
