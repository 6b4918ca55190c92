"""The shortest profile, as `make chaos-smoke` runs it: nothing is lost while everything breaks."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.chaos.findings import Invariant

ROOT = Path(__file__).resolve().parents[2]
SEED = "1"
LATE = 1.5
"""Over a limit: beside other tests requests leave late, and arrive together with the next ones."""


# It restarts a broker and a dozen processes, which takes long beside other tests.
@pytest.mark.timeout(400)
async def test_every_call_is_accounted_for_while_everything_breaks(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", "smoke", "--seed", SEED, "--report", str(file)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode in (0, 1), out.decode()
    figures = json.loads(file.read_text(encoding="utf-8"))
    broken = {name for name, count in figures["invariants"].items() if count}
    assert broken <= {Invariant.LIMIT.value}, out.decode()
    assert figures["overshoot"]["share_of_limit"] < LATE, out.decode()
    assert figures["calls"]["confirmed"] > 300
    assert figures["kills"] >= 8
