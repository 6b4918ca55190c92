"""Processes are ended only when they are those that were recorded."""

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sandbox.stack.processes import ProcessId

_SLEEP = "import time; time.sleep(60)"
_PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_SLEEP!r}])"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", _SLEEP])
    yield process
    process.kill()
    process.wait()


def _recorded(child: subprocess.Popen[bytes]) -> ProcessId:
    process = ProcessId.of(child.pid)
    assert process is not None
    return process


def test_a_signal_reaches_the_recorded_process(child: subprocess.Popen[bytes]) -> None:
    process = _recorded(child)

    process.send(signal.SIGTERM)

    assert child.wait(10) == -signal.SIGTERM
    assert not process.alive


def test_a_process_that_took_over_the_pid_is_left_alone(child: subprocess.Popen[bytes]) -> None:
    earlier = dataclasses.replace(_recorded(child), started="1")

    earlier.send(signal.SIGKILL)

    assert not earlier.alive
    assert _recorded(child).alive
    assert child.poll() is None


def test_a_zombie_does_not_live(child: subprocess.Popen[bytes]) -> None:
    process = _recorded(child)

    process.send(signal.SIGKILL)

    assert process.wait_gone(10)


def test_a_family_is_found_with_its_parents_first() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT])
    process = _recorded(parent)
    family = process.family()
    while len(family) < 2:
        family = process.family()

    for member in family:
        member.send(signal.SIGKILL)
    parent.wait()

    assert family[0] == process
    assert all(member.wait_gone(10) for member in family)
