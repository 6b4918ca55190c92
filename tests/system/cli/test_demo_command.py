"""`lark-service demo` from its start to its end, and to an end that comes early."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.demo.story import SCENES
from tests.support.command import COMMAND, plain_environment, processes_in, run
from tests.support.waiting import eventually


def exists(directory: Path) -> bool:
    return directory.exists()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "demo"
    yield directory
    assert processes_in(directory) == []


async def test_the_main_job_is_shown_and_every_check_holds(directory: Path) -> None:
    ran = await run("demo", "--json", "--directory", str(directory), folder=directory.parent)

    failed = [check for check in ran.json["checks"] if not check["held"]]
    assert not failed, failed
    assert (ran.code, ran.err) == (0, "")
    assert {check["scene"] for check in ran.json["checks"]} == {title for title, _ in SCENES}
    assert not exists(directory)


async def test_an_interrupted_demo_leaves_nothing_behind(directory: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "demo",
        "--directory",
        str(directory),
        env=plain_environment() | {"PYTHONUNBUFFERED": "1"},
        cwd=directory.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while b"users, before" not in await process.stdout.readline():
        assert process.returncode is None
    assert processes_in(directory) != []
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, err = await process.communicate()

    assert process.returncode == 130
    assert err == b"Interrupted; everything that was started is stopped.\n"


async def test_a_killed_demo_takes_its_processes_with_it(directory: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "demo",
        "--directory",
        str(directory),
        env=plain_environment() | {"PYTHONUNBUFFERED": "1"},
        cwd=directory.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while b"Ready after" not in await process.stdout.readline():
        assert process.returncode is None
    process.kill()
    await process.wait()

    await eventually(lambda: processes_in(directory) == [], within=40)
