"""B15: what fuzzing found and no other category has, each as it was found."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.seeds import Seed


def seeds() -> Iterator[Seed]:
    """One for each finding."""
    yield from ()
