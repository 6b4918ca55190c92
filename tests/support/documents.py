"""Tests that documents name, as `path/below/tests.py::test_name`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(\S+\.py)::(\w+)`")
_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def named_tests(text: str) -> list[tuple[str, str]]:
    """The file and the name of every test that the text speaks of."""
    return _NAMED.findall(text)


def missing_tests(text: str) -> list[str]:
    """Those that there are not, each with where a test of that name is now."""
    found = {
        (str(file.relative_to(ROOT / "tests")), test)
        for file in (ROOT / "tests").rglob("test_*.py")
        for test in _TEST.findall(file.read_text("utf-8"))
    }
    moved = {test: file for file, test in found}
    return [
        f"{file}::{test}, now in {moved.get(test)}"
        for file, test in named_tests(text)
        if (file, test) not in found
    ]
