"""This machine and its settings: nothing here waits for a network."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Final

from cli.audit import Finding, Kind
from cli.validate import look

from .check import Check, degraded, healthy, unhealthy

LEAST_SHARE: Final = 0.1
"""Of the disk and of the memory, how much should be free."""
_MEMORY: Final = Path("/proc/meminfo")
_GIB: Final = 2**30
_FATAL: Final = frozenset({Kind.MISSING, Kind.INVALID, Kind.PLACEHOLDER})


async def config() -> list[Check]:
    """The settings of this process and folder; a gateway with a mistake in them does not start."""
    settings, findings = await asyncio.to_thread(look, os.environ, Path.cwd())
    return [of_findings(findings, usable=settings is not None)]


def of_findings(findings: list[Finding], *, usable: bool) -> Check:
    """Make one finding of all."""
    mistakes = [finding for finding in findings if finding.is_mistake]
    facts = {"findings": [f"{finding.name}: {finding.message}" for finding in findings]}
    if not mistakes:
        return healthy("config", "the settings can be used", **facts)
    message = "; ".join(f"{finding.name}: {finding.message}" for finding in mistakes)
    fatal = not usable or any(finding.kind in _FATAL for finding in mistakes)
    hint = "lark-service config validate"
    return (unhealthy if fatal else degraded)("config", message, hint, **facts)


async def disk() -> list[Check]:
    """The disk that this folder is on."""
    usage = shutil.disk_usage(Path.cwd())
    return [of_share("disk", usage.free, usage.total)]


async def memory() -> list[Check]:
    """The memory that programs could still have."""
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (ln.partition(":") for ln in lines)}
        return [of_share("memory", kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024)]
    except (OSError, KeyError, ValueError):
        return [healthy("memory", "not known on this system")]


def of_share(name: str, free: int, total: int) -> Check:
    """Judge what is free, in bytes."""
    share = free / total if total else 1.0
    message = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free ({share:.0%})"
    facts = {"free_bytes": free, "total_bytes": total}
    if share < LEAST_SHARE:
        return degraded(name, message, f"less than {LEAST_SHARE:.0%} is free", **facts)
    return healthy(name, message, **facts)
