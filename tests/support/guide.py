"""The commands of the recovery guide, and whether what they print is what the guide shows.

In a block marked `console` a line that begins with `$ ` is a command and the lines after it are its
output, in which `…` stands for anything and a number for any number. A comment before the block
gives the settings it needs: `<!-- with REDIS_URL=redis://127.0.0.1:1/0 -->`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- with (?P<settings>[^\n]*) -->\n)?^```(?P<mark>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FRAMES = re.compile(r"[─-╿]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_OURS = re.compile(r"^(?:\$ )?((?:lark-service|python scripts/|python -m cli)\S*.*?)\s*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class Step:
    """One command, the output that the guide shows, and the settings that it needs."""

    command: str
    output: str
    settings: tuple[tuple[str, str], ...]

    @property
    def words(self) -> list[str]:
        """The command line, split as a shell does."""
        return shlex.split(self.command)

    def fits(self, printed: str) -> bool:
        """Whether this is what the guide shows: the same words in the same order."""
        parts = (" ".join(_words(part)) for part in self.output.split("…"))
        pattern = r"\s*.*?\s*".join(re.escape(part) for part in parts)
        return re.fullmatch(pattern, " ".join(_words(printed)), re.DOTALL) is not None


def steps_in(guide: Path) -> Iterator[Step]:
    """The commands that are shown with their output, in the order of the guide."""
    for match in _BLOCK.finditer(guide.read_text(encoding="utf-8")):
        if match["mark"] != "console":
            continue
        given = tuple(_pair(word) for word in shlex.split(match["settings"] or ""))
        for entry in re.split(r"^\$ ", match["text"], flags=re.MULTILINE)[1:]:
            command, _, output = entry.partition("\n")
            yield Step(command, output, given)


def commands_in(guide: Path) -> set[str]:
    """Every command of ours in any block, also in those that show no output."""
    lines = (
        line
        for match in _BLOCK.finditer(guide.read_text(encoding="utf-8"))
        for line in match["text"].splitlines()
    )
    return {found[1] for line in lines if (found := _OURS.match(line))}


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _words(text: str) -> list[str]:
    # How a table is drawn depends on what stands in it.
    return _NUMBER.sub("0", _FRAMES.sub(" ", text)).split()
