"""The recovery guide does what it says: its commands are run, and print what it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.main import COMMANDS
from gateway.app_store import AppStore
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.database import Database
from sandbox.feishu import SandboxFeishu
from tests.support.command import plain_environment, run, run_script
from tests.support.gateway import Gateway
from tests.support.guide import Step, commands_in, steps_in

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/recovery-guide.md"
TRANSLATED = ROOT / "docs/zh-CN/recovery-guide.md"
OWN = "cli_a1b2c3d4e5f60718"
SALES = "cli_b1b2c3d4e5f60718"
SECRET = "Zk29dLq8wX4vB7nM1cR5tY3uJ6hG0fDs"
KEY = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
async def settings(
    simulated: SandboxFeishu, rabbitmq_url: str, redis_url: str, database_url: str
) -> dict[str, str]:
    """Those of a site with one further app."""
    for app_id in (OWN, SALES):
        simulated.world.tokens.apps[app_id] = SECRET
    database = Database(database_url)
    await database.migrate()
    store = AppStore(database, KeyRing.from_text(KEY))
    await store.add(App("sales", SALES, SecretStr(SECRET), simulated.url))
    await database.close()
    return {
        "LARK_APP_ID": OWN,
        "LARK_APP_SECRET": SECRET,
        "LARK_DOMAIN": simulated.url,
        "LARK_SERVICE_SECRET_KEY": KEY,
        "RABBITMQ_URL": rabbitmq_url,
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "LARK_SERVICE_HEALTH_PORT": "0",
    }


@pytest.fixture(scope="module")
async def serving(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[None]:
    """A gateway of that site, which has a token of its own app."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), plain_environment() | settings)
    await gateway.start()
    await printed(Step("lark-service refresh-token --app-id default", "", ()), settings)
    yield
    await gateway.stop()


async def printed(step: Step, settings: dict[str, str]) -> str:
    """What a command prints, run in the project's folder."""
    name, *words = step.words
    if "health_check.py" in step.command or "preflight" in step.command:
        # A busy machine must not pass for a server that is away.
        words += ["--timeout", "20"]
    given = {"COLUMNS": "240"} | settings | dict(step.settings)
    if name == "python":
        script, *words = words
        ran = await run_script(Path(script).name, *words, folder=ROOT, **given)
    else:
        ran = await run(*words, folder=ROOT, **given)
    return ran.out + ran.err


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("step", list(steps_in(GUIDE)), ids=lambda step: step.command)
async def test_a_command_prints_what_the_guide_shows(step: Step, settings: dict[str, str]) -> None:
    out = await printed(step, settings)

    assert step.fits(out), out
    assert SECRET not in out


@pytest.mark.parametrize(
    ("printed", "fits"),
    [
        ("┃ answers in 7 ms ┃\n┃ from here on ┃", True),
        ("answers in 7.5 ms from there on", True),
        ("answers in 7 s from here on", False),
        ("answers in 7 ms from here", False),
        ("it answers in 7 ms from here on", False),
        ("answers in ms from here on", False),
    ],
)
def test_output_fits_only_where_the_words_are_the_same(printed: str, fits: bool) -> None:
    step = Step("x", "answers in 31 ms\nfrom … on\n", ())

    assert step.fits(printed) is fits


@pytest.mark.parametrize("guide", [GUIDE, TRANSLATED], ids=["en", "zh"])
def test_every_command_of_the_guide_is_one_that_there_is(guide: Path) -> None:
    for command in commands_in(guide):
        name, word, *_ = [*command.split(), ""]
        assert name != "lark-service" or word in COMMANDS, command
        assert name != "python" or word == "-m" or (ROOT / word).is_file(), command


def test_the_translation_shows_the_same_commands_and_outputs() -> None:
    assert list(steps_in(TRANSLATED)) == list(steps_in(GUIDE))
    assert commands_in(TRANSLATED) == commands_in(GUIDE)
