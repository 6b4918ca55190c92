"""Prints what the last test run covered of each room, given as arguments."""

from __future__ import annotations

import io
import sys

from coverage import Coverage
from coverage.exceptions import NoDataError


def main(rooms: list[str]) -> None:
    """One line a room: the share of its lines and branches that ran."""
    measured = Coverage()
    measured.load()
    print("Lines and branches covered:")
    for room in rooms:
        try:
            share = f"{measured.report(include=[f'{room}/*'], file=io.StringIO()):5.1f} %"
        except NoDataError:
            share = "nothing ran"
        print(f"  {room:<10} {share}")


if __name__ == "__main__":
    main(sys.argv[1:])
