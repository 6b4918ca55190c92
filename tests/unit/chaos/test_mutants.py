"""The mutants still fit the code, and what is made of the profiles' verdicts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.chaos.mutants import CAUGHT, MUTANTS, PATCHES, ROOT, Verdict, patch_of, survivors


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_patch_of_every_mutant_fits_the_code(mutant: str, tmp_path: Path) -> None:
    patch = patch_of(mutant)
    # Outside the repository git reads the files as they are, whatever its index says.
    for name in _files_of(patch):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        ["git", "apply", "--check", patch],
        cwd=tmp_path,
        env={
            "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        f"{patch.name} ({MUTANTS[mutant]}) must be made anew for this code: {done.stderr}"
    )


def test_there_is_a_patch_for_every_mutant_and_no_other() -> None:
    assert {patch.stem for patch in PATCHES.glob("*.patch")} == set(MUTANTS)


def test_a_mutant_survives_unless_a_profile_saw_a_broken_promise() -> None:
    verdicts = [
        Verdict("M1", "steps", 0, 1.0, ""),
        Verdict("M1", "smoke", CAUGHT, 1.0, "smoke: 5 calls, 1 lost"),
        Verdict("M2", "steps", 0, 1.0, ""),
        Verdict("M3", "steps", CAUGHT, 1.0, "a traceback"),
        Verdict("M4", "steps", CAUGHT, 1.0, "4 kills, 8 calls in hand: 1 lost"),
    ]
    assert survivors(verdicts) == ["M2", "M3"]


def _files_of(patch: Path) -> list[str]:
    lines = patch.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("--- a/") for line in lines if line.startswith("--- a/")]
