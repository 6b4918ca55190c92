"""A private PostgreSQL process."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from sandbox.stack import accounts, sources
from sandbox.stack.errors import StackError
from sandbox.stack.server import MAIN, Server

_USER = "lark"
_DATABASE = "lark_service"
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Commits still reach the kernel, which keeps them when the process is killed.
    "fsync": "off",
    "full_page_writes": "off",
}
_STATUS_LINE = 7


class Postgres(Server):
    """PostgreSQL with one database, run under an unprivileged account when we are root."""

    name: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    start_seconds: ClassVar[float] = 30

    @property
    def url(self) -> str:
        """The address of the database `lark_service`."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{_DATABASE}"

    def erase(self) -> None:
        """Delete the data of a server that does not run, also where it lies outside."""
        home = self._home()
        super().erase()
        if home != self.directory and home.exists():
            shutil.rmtree(home)

    def _run(self) -> None:
        account = accounts.unprivileged()
        folder = sources.postgres_folder(lambda path: account is None or account.may_search(path))
        home = self._home()
        if not (home / "data" / "PG_VERSION").exists():
            self._create(folder, home, account)
        settings = [f"{key}={value}" for key, value in {**_SETTINGS, "port": self.port}.items()]
        arguments = [word for setting in settings for word in ("-c", setting)]
        command = [str(folder / "postgres"), "-D", str(home / "data"), *arguments]
        self._spawn(MAIN, command, _ENVIRONMENT, cwd=home, **_options(account))

    def _create(self, folder: Path, home: Path, account: accounts.Account | None) -> None:
        data = home / "data"
        if data.exists():
            shutil.rmtree(data)
        data.mkdir(mode=0o700)
        password = home / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        if account is not None:
            account.give(data)
            account.give(password)
        create = ["initdb", "-D", str(data), "-U", _USER, "-A", "scram-sha-256", "-E", "UTF8"]
        create += ["--locale=C", "--no-sync", "--no-instructions", f"--pwfile={password}"]
        try:
            self._finish(folder, home, account, create, "")
        finally:
            password.unlink()
        single = ["postgres", "--single", "-D", str(data), "template1"]
        self._finish(folder, home, account, single, f"CREATE DATABASE {_DATABASE};\n")

    def _finish(
        self,
        folder: Path,
        home: Path,
        account: accounts.Account | None,
        command: list[str],
        text: str,
    ) -> None:
        done = subprocess.run(
            [str(folder / command[0]), *command[1:]],
            input=text,
            env=_ENVIRONMENT,
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            **_options(account),
        )
        if done.returncode != 0:
            raise StackError(f"{command[0]} failed:\n{done.stderr.strip()}")

    def _ready(self) -> bool:
        try:
            lines = (self._home() / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        process = self.processes.get(MAIN)
        ours = process is not None and lines[:1] == [str(process.pid)]
        return ours and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    def _home(self) -> Path:
        """Where the data lies: outside when the account cannot pass the parents (as /root)."""
        account = accounts.unprivileged()
        if account is None or account.may_search(self.directory):
            return self.directory
        digest = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
        home = Path("/var/tmp", f"lark-service-{digest}")  # noqa: S108 (ownership checked below)
        home.mkdir(mode=0o711, exist_ok=True)
        if home.is_symlink() or home.stat().st_uid != os.geteuid():
            raise StackError(
                f"{home} belongs to somebody else; delete it or move the run directory."
            )
        return home


def _options(account: accounts.Account | None) -> dict[str, Any]:
    return {} if account is None else account.process_options()
