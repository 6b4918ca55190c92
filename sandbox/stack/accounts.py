"""The account under which Postgres runs, since it refuses root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A system account without rights."""

    uid: int
    gid: int

    def may_search(self, path: Path) -> bool:
        """Whether the account can reach entries of `path` through those parents that exist."""
        folders = (folder for folder in (path, *path.parents) if folder.exists())
        return all(self._searchable(folder) for folder in folders)

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`."""
        os.chown(path, self.uid, self.gid)

    def process_options(self) -> dict[str, Any]:
        """Keyword arguments with which `subprocess` starts a process under this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def _searchable(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def unprivileged() -> Account | None:
    """The account to switch to when this process is root, None when it is not."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)
