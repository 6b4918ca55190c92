"""What happened, as lines of JSON in append-only files: one file for each kind of witness.

A line is written before what it tells of is acted upon, by one system call, so that it is there
however the process that wrote it ends. `at` is Unix time in seconds, of one clock for all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

Line = dict[str, Any]


class Book(StrEnum):
    """The files of a ledger, and the fields of their lines besides `at`.

    CALLS: producers; id, kind (attempted, confirmed, returned, nacked, indeterminate), and with
    attempted: deadline (Unix seconds), address (where the reply goes, None for nowhere).
    REPLIES: collectors; address, correlation_id, type, headers, body (parsed).
    ADDRESSES: collectors; address, kind (opened, lost): a lost one may have lost replies.
    LETTERS: dead letters; call_id, reason, error (parsed), reply_to.
    REQUESTS: Feishu's own record; number, time, method, path, template, app_id, token, body_hash,
    key, status, code. Written anew when the answer is known; the last line of a number counts.
    FAULTS: the nemesis; kind (began, ended), fault, target.
    PROCESSES: gateways; kind (started, ready, ended), slot, pid, and with ended: code, asked
    (whether the harness made it end).
    SIGHTINGS: what must not be anywhere; kind (secret, trouble), where, what.
    REST: how it all was at rest after the drain; queues, redis_keys, effects, oauth, fds, rss.
    """

    CALLS = "calls"
    REPLIES = "replies"
    ADDRESSES = "addresses"
    LETTERS = "letters"
    REQUESTS = "requests"
    FAULTS = "faults"
    PROCESSES = "processes"
    SIGHTINGS = "sightings"
    REST = "rest"


ATTEMPTED: Final = "attempted"
CONFIRMED: Final = "confirmed"


class Ledger:
    """Writes the lines of one run into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._files = {book: os.open(_file(folder, book), flags, 0o600) for book in Book}

    def write(self, book: Book, **fields: Any) -> None:
        """Append one line; `at` is now unless given."""
        line = {"at": time.time()} | fields
        os.write(self._files[book], json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Write no more; everything reaches the disk."""
        for file in self._files.values():
            os.fsync(file)
            os.close(file)
        self._files = {}


@dataclass(frozen=True, slots=True)
class Story:
    """All that witnesses said about one call."""

    attempts: list[Line] = field(default_factory=list)
    confirmed: list[Line] = field(default_factory=list)
    replies: list[Line] = field(default_factory=list)
    letters: list[Line] = field(default_factory=list)
    requests: list[Line] = field(default_factory=list)

    @property
    def deadline(self) -> float:
        """The latest deadline with which the call was published."""
        return max(float(line["deadline"]) for line in self.attempts)


@dataclass(frozen=True, slots=True)
class Record:
    """A ledger as it was read: lines by book, with Feishu's requests once each."""

    books: Mapping[Book, list[Line]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what was written so far; a line that was broken off at the end is left out."""
        return cls.of({book: list(_lines(_file(folder, book))) for book in Book})

    @classmethod
    def of(cls, books: Mapping[Book, list[Line]]) -> Self:
        """Take lines as they would have been read; books without lines may be left out."""
        every = {book: list(books.get(book, ())) for book in Book}
        latest = {line["number"]: line for line in every[Book.REQUESTS]}
        every[Book.REQUESTS] = [latest[number] for number in sorted(latest)]
        return cls(every)

    def __getitem__(self, book: Book) -> list[Line]:
        return self.books[book]


def _file(folder: Path, book: Book) -> Path:
    return folder / f"{book}.jsonl"


def _lines(file: Path) -> Iterator[Line]:
    if not file.exists():
        return
    for text in file.read_bytes().splitlines(keepends=True):
        if text.endswith(b"\n"):
            yield json.loads(text)
