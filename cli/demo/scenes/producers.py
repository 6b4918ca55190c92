"""Three producers in two languages: the examples of this repository, run as they are."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.demo.children import clean_environment
from cli.demo.stage import Check, Stage, milliseconds

TITLE = "Three producers, one contract"
_SECONDS = 30.0
_ROOT = Path(__file__).resolve().parents[3]
_FOLDERS = (_ROOT / "examples", Path(sys.prefix) / "examples")


@dataclass(frozen=True, slots=True)
class Example:
    """A program to run, or why it cannot be run here."""

    name: str
    chat: str
    command: tuple[str, ...] = ()
    missing: str = ""


async def play(stage: Stage) -> list[Check]:
    """Run each; each makes one call and hands one more over without waiting for it."""
    stage.say("Each example makes one call and then hands one over without waiting for it:")
    examples = list(_examples())
    ready = [example for example in examples if example.command]
    checks = await asyncio.gather(*(_run(stage, example) for example in ready))
    for example in examples:
        if not example.command:
            stage.skipped.append(f"{example.name}: {example.missing}")
            stage.show(example.name, f"skipped: {example.missing}")
    if not ready:
        return [Check("a producer calls", "no example can be run here", held=False)]
    return list(checks)


def _examples() -> Iterator[Example]:
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    python = (sys.executable,)
    for name, chat, file, needs in (
        ("Python client", "oc_demo_client", "python_client.py", "lark_service_client"),
        ("pika", "oc_demo_pika", "python_pika.py", "pika"),
    ):
        if folder is None:
            yield Example(name, chat, missing="the folder examples is not here")
        elif importlib.util.find_spec(needs) is None:
            yield Example(name, chat, missing=f"the package {needs} is not installed")
        else:
            yield Example(name, chat, (*python, str(folder / file)))
    yield _node(folder)


def _node(folder: Path | None) -> Example:
    name, chat, node = "Node amqplib", "oc_demo_node", shutil.which("node")
    if folder is None:
        return Example(name, chat, missing="the folder examples is not here")
    if node is None:
        return Example(name, chat, missing="node is not installed")
    if not (folder / "node_amqplib/node_modules/amqplib").is_dir():
        return Example(name, chat, missing="run `npm install` in examples/node_amqplib first")
    return Example(name, chat, (node, str(folder / "node_amqplib/call.js")))


async def _run(stage: Stage, example: Example) -> Check:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *example.command,
        example.chat,
        env={**clean_environment(os.environ), "RABBITMQ_URL": stage.rabbitmq_url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
            told = ", ".join(output.decode(errors="replace").split("\n")).strip(", ")
            count = await _messages(stage, example.chat, 2 if process.returncode == 0 else 0)
    except TimeoutError:
        told, count = f"did not end within {_SECONDS:.0f} s", 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    stage.show(example.name, told)
    return Check(
        f"{example.name}: one call answered, one handed over",
        f"{count} of 2 messages, {milliseconds(time.monotonic() - began)} with its start",
        count == 2,
    )


async def _messages(stage: Stage, chat: str, wanted: int) -> int:
    """How many messages a chat has; what was handed over may need a moment to arrive."""
    while True:
        count = len(await stage.feishu.read("messages", receive_id=chat))
        if count >= wanted:
            return count
        await asyncio.sleep(0.05)
