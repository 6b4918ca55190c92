"""Takes a secret from where neither a list of processes nor a shell's history shows it."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from .exits import USAGE, CommandFailed

MOST_BYTES = 64 * 1024


def read_secret(file: str | None, what: str, option: str) -> str:
    """Read it from the file, from standard input for `-`, or where none is named by a prompt.

    *what* names it to people, *option* is where the file is named. Raises CommandFailed.
    """
    if file is None and not sys.stdin.isatty():
        raise CommandFailed(
            USAGE, f"No {what} is given: name a file with {option}, or - for standard input."
        )
    if file is None:
        text = str(typer.prompt(f"The {what} (it is not shown)", hide_input=True, err=True))
    else:
        text = _content(file, what)
    if not text.strip():
        raise CommandFailed(USAGE, f"The {what} that is given is empty.")
    return text.strip()


def _content(file: str, what: str) -> str:
    place = "standard input" if file == "-" else file
    try:
        if file == "-":
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise CommandFailed(USAGE, f"Cannot read {place}: {error.strerror or error}.") from error
    if len(content) > MOST_BYTES:
        raise CommandFailed(USAGE, f"What {place} holds is too long to be the {what}.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CommandFailed(USAGE, f"What {place} holds is no text, so not the {what}.") from None
