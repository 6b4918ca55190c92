"""No line that the process writes holds a secret: not its own, not a library's, no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, logging, sys
import structlog
from consumers.logs import configure_logging
from gateway.redaction import Redactor

redactor = Redactor()
redactor.learn("hunter22")
configure_logging("DEBUG", sys.argv[1], redactor)
log = structlog.get_logger()

def fail(password):
    raise ValueError(f"password is {password}")

async def never_awaited_result():
    fail("hunter22")

log.info("an event of hunter22", authorization="x7x7", nested={"a": ["hunter22"]})
for write in (log.exception, logging.getLogger("library").exception):
    try:
        fail("hunter22")
    except ValueError:
        write("it failed")
logging.getLogger("library").debug("sent %s", {"Authorization": "Bearer x7x7"})

async def main():
    task = asyncio.create_task(never_awaited_result())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task

asyncio.run(main())
print("end", file=sys.stderr)
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_holds_a_secret(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True
    )
    assert "hunter22" not in done.stderr
    assert "x7x7" not in done.stderr
    assert done.stdout == ""
    assert done.stderr.count("ValueError: password is ********") == 3
    assert done.stderr.endswith("end\n")
