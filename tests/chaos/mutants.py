"""Shows that the harness sees what it looks for: `python -m tests.chaos.mutants [--only M3 …]`.

Each mutant is the product with one promise broken on purpose. It is made in a copy of the checkout,
and the profiles are run there. Exit code 1 where a mutant survives all of them, 2 where a profile
does not pass without a mutant, so that its verdicts are worth nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).parent / "patches"
CAUGHT = 1
"""What a profile ends with where a promise was broken."""
LONGEST_SECONDS = 600.0
_LEFT_OUT = (".*", "__pycache__", "*.egg-info", "node_modules", "build", "dist")
_STEPS = ("C1", "C3", "C5", "C6", "C7", "C8", "C9", "C10")

MUTANTS: Mapping[str, str] = {
    "M1": "ack before the reply",
    "M2": "ack on receipt",
    "M3": "no confirm of replies",
    "M4": "no regard for what is returned as unroutable",
    "M5": "an N call is repeated after a lost answer",
    "M6": "a random idempotency key",
    "M7": "a full bucket where Redis forgot",
    "M8": "an older token replaces a newer one",
    "M9": "a Redis connection is used on after a cancel",
    "M10": "another call's correlation id, once in ten thousand replies",
    "M11": "no confirm of dead letters",
    "M12": "the token in the text of errors",
}
VERDICT: Mapping[str, str] = {
    "steps": " calls in hand: ",
    "smoke": "smoke: ",
    "burst": " calls in hand: ",
}
"""What a profile prints when it has come to its end, whatever it found."""
PROFILES: Mapping[str, Sequence[str]] = {
    "steps": (
        *("tests.chaos.steps", "--first", "--worlds", "1", "--kills", "1"),
        *("--steps", *_STEPS),
    ),
    "smoke": ("tests.chaos", "smoke", "--seed", "1"),
    "burst": ("tests.chaos.steps", "--worlds", "1", "--steps", "burst"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one profile made of one mutant; `said` is the last that it printed."""

    mutant: str
    profile: str
    exit_code: int
    seconds: float
    said: str

    @property
    def caught(self) -> bool:
        """Whether a promise was seen to be broken; a profile that broke down has seen nothing."""
        return self.exit_code == CAUGHT and VERDICT[self.profile] in self.said


def patch_of(mutant: str) -> Path:
    """The file that makes the mutant."""
    return PATCHES / f"{mutant}.patch"


def survivors(verdicts: Sequence[Verdict]) -> list[str]:
    """The mutants that no profile caught."""
    caught = {verdict.mutant for verdict in verdicts if verdict.caught}
    return [name for name in dict.fromkeys(v.mutant for v in verdicts) if name not in caught]


def copy_of_checkout(folder: Path) -> Path:
    """A copy of what makes and proves the product, without history and without what is made."""
    ignore = shutil.ignore_patterns(*_LEFT_OUT)
    return shutil.copytree(ROOT, folder / "checkout", symlinks=True, ignore=ignore)


def environment_of(checkout: Path) -> dict[str, str]:
    """An environment in which Python finds our packages in this checkout."""
    return {**os.environ, "PYTHONPATH": str(checkout)}


async def run_in(checkout: Path, *arguments: str) -> tuple[int, str]:
    """Run Python in a checkout; returns the exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=checkout,
        env=environment_of(checkout),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode("utf-8", "replace")


async def apply(mutant: str, checkout: Path) -> None:
    """Make the mutant; raises RuntimeError where its patch does not fit the code any more."""
    process = await asyncio.create_subprocess_exec(
        *("git", "apply", str(patch_of(mutant))),
        cwd=checkout,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{patch_of(mutant).name} does not apply: {said.decode()}")


async def prove_origin(checkout: Path) -> None:
    """Raise RuntimeError where the packages would come from another checkout than this one."""
    code = (
        "import cli, consumers, gateway, sandbox, schemas as s; print(cli, consumers, gateway, s)"
    )
    _, said = await run_in(checkout, "-c", code)
    if said.count(f"'{checkout}{os.sep}") != 4:
        raise RuntimeError(f"Python takes our packages from elsewhere: {said}")


async def try_out(mutant: str | None, profiles: Sequence[str]) -> list[Verdict]:
    """Run the profiles on one mutant, until one catches it; all of them on the product as it is."""
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="lark-mutant-") as folder:
        checkout = await asyncio.to_thread(copy_of_checkout, Path(folder))
        await prove_origin(checkout)
        if mutant is not None:
            await apply(mutant, checkout)
        for profile in profiles:
            began = time.monotonic()
            code, said = await run_in(checkout, "-m", *PROFILES[profile])
            took = round(time.monotonic() - began, 1)
            verdicts.append(Verdict(mutant or "none", profile, code, took, said[-2000:]))
            if mutant is not None and verdicts[-1].caught:
                break
    return verdicts


async def run_all(mutants: Sequence[str], profiles: Sequence[str]) -> list[Verdict]:
    """Try out the mutants one after the other; the first verdicts are those of no mutant."""
    verdicts: list[Verdict] = []
    for mutant in (None, *mutants):
        for verdict in await try_out(mutant, profiles):
            verdicts.append(verdict)
            how = "caught" if verdict.caught else "broke down" if verdict.exit_code else "passed"
            what = MUTANTS.get(verdict.mutant, "the product as it is")
            sys.stdout.write(
                f"{verdict.mutant:<5}{what:<58}{verdict.profile:<7}{how} "
                f"after {verdict.seconds:.0f} s{_finding(verdict.said) if verdict.caught else ''}\n"
            )
            sys.stdout.flush()
        if mutant is None and any(verdict.exit_code for verdict in verdicts):
            break
    return verdicts


def _finding(said: str) -> str:
    """The first line that names a broken promise, where one does."""
    lines = [line.strip() for line in said.splitlines()]
    telling = (line for line in lines if "BROKEN" in line or line.endswith("}"))
    return f": {next(telling, lines[-1])}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="tests.chaos.mutants", description=__doc__)
    made.add_argument("--only", nargs="+", choices=MUTANTS, default=list(MUTANTS), metavar="M3")
    made.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES))
    made.add_argument("--report", type=Path, help="a file for the verdicts, as JSON")
    return made


def main() -> None:
    """Try out what the command line names."""
    arguments = parser().parse_args()
    verdicts = asyncio.run(run_all(arguments.only, arguments.profiles))
    if arguments.report:
        text = json.dumps([asdict(verdict) for verdict in verdicts], indent=2)
        arguments.report.write_text(text + "\n", encoding="utf-8")
    without = [verdict for verdict in verdicts if verdict.mutant == "none"]
    if failed := [verdict for verdict in without if verdict.exit_code]:
        sys.stdout.write(f"{failed[0].said}\nWithout a mutant {failed[0].profile} must pass.\n")
        sys.exit(2)
    alive = survivors([verdict for verdict in verdicts if verdict.mutant != "none"])
    sys.stdout.write(f"survived: {', '.join(alive) or 'none'}\n")
    sys.exit(bool(alive))


if __name__ == "__main__":
    main()
