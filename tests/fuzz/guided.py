"""Fuzzing that follows the lines that inputs reach. Needs the package atheris.

python -m tests.fuzz.guided <target> <seconds> <seed>
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_ROOMS = ["consumers", "gateway", "schemas"]
_FOLDER = Path(".local/fuzz")


def fuzz_guided(targets: Iterable[str], seconds: float, seed: int) -> int:
    """Run each target in a process of its own, which atheris ends; 1 where something was found."""
    runs = (
        subprocess.run(
            [sys.executable, "-m", "tests.fuzz.guided", target, str(int(seconds)), str(seed)],
            check=False,
        )
        for target in targets
    )
    return max(int(run.returncode != 0) for run in runs)


def main() -> None:
    """Fuzz one target; atheris prints executions and findings, and ends the process."""
    import atheris

    name, seconds, seed = sys.argv[1:]
    with atheris.instrument_imports(include=_ROOMS):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    first = _FOLDER / f"{name}-inputs"
    first.mkdir(parents=True, exist_ok=True)
    for place, data in enumerate(target.first()):
        (first / f"first-{place}").write_bytes(data)

    def run(data: bytes) -> None:
        target.run(data)

    found = f"-artifact_prefix={_FOLDER}/{name}-"
    atheris.Setup(
        [name, f"-max_total_time={seconds}", f"-seed={seed}", found, "-max_len=65536", str(first)],
        run,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
