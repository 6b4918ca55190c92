"""`lark-service secrets verify`: whether every sealed value opens, and with which key."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.database import open_database
from cli.exits import FAILED
from gateway import redis_client
from gateway.crypto import KeyRing
from gateway.secrets_at_rest import Looked, look_at_postgres, look_at_redis
from gateway.settings import Settings, load_settings

from .ring import NEEDED, own_ring

REDIS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Findings:
    """What was looked at; without Redis where that is away."""

    postgres: list[Looked]
    redis: Looked | None

    @property
    def places(self) -> list[Looked]:
        """All that was looked at."""
        return [*self.postgres, *([self.redis] if self.redis else [])]

    @property
    def faults(self) -> int:
        """Values that do not open, without Redis' copies, which the next token replaces; and what
        is not sealed at all, anywhere."""
        unsealed = self.redis.keys["none"] if self.redis else 0
        return unsealed + sum(looked.unopened for looked in self.postgres)

    def unneeded(self, keys: KeyRing) -> list[str]:
        """Keys of the ring, without the newest, that seal nothing any more."""
        used = sum((looked.keys for looked in self.places), Counter[str]())
        return [key for key in keys.key_ids[1:] if not used[key]]


def verify_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Open every sealed value; exit with 1 when one does not open, and say which and why."""
    settings = load_settings(only=NEEDED)
    keys = own_ring(settings)
    findings = asyncio.run(_look(settings, keys))
    if as_json:
        _write_json(findings, keys)
    else:
        _show(findings, keys)
    if findings.faults:
        raise typer.Exit(FAILED)


async def _look(settings: Settings, keys: KeyRing) -> Findings:
    async with open_database(settings) as database:
        await database.migrate()
        postgres = [looked async for looked in look_at_postgres(database, keys)]
    redis = redis_client.connect(settings.redis_url.get_secret_value())
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            return Findings(postgres, await look_at_redis(redis, keys))
    except redis_client.AWAY:
        return Findings(postgres, None)
    finally:
        await redis.aclose()


def _show(findings: Findings, keys: KeyRing) -> None:
    console = Console()
    table = Table("place", *(f"key {key}" for key in keys.key_ids), "other keys", "do not open")
    for looked in findings.places:
        known = [looked.keys[key] for key in keys.key_ids]
        others = looked.keys.total() - sum(known)
        table.add_row(looked.place, *map(str, (*known, others, looked.unopened)))
    console.print(table)
    for looked in findings.places:
        for row, why in looked.named:
            console.print(f"{looked.place}, {row}: {why}", markup=False, highlight=False)
        if looked.unopened > len(looked.named):
            console.print(f"{looked.place}: {looked.unopened - len(looked.named)} more")
    for sentence in _advice(findings, keys):
        console.print(sentence, markup=False, highlight=False)


def _advice(findings: Findings, keys: KeyRing) -> list[str]:
    sentences = []
    if findings.redis is None:
        sentences.append(
            "Redis does not answer: its copies were not looked at; none lives longer than a day."
        )
    unneeded = findings.unneeded(keys)
    sentences += [
        f"Key {key} seals nothing any more: take it out of LARK_SERVICE_SECRET_KEY and send every "
        "gateway process SIGHUP."
        for key in unneeded
    ]
    if len(unneeded) < len(keys.key_ids) - 1:
        sentences.append("Older keys are still needed: lark-service secrets rotate")
    return sentences


def _write_json(findings: Findings, keys: KeyRing) -> None:
    places = [
        {
            "place": looked.place,
            "values": dict(looked.keys),
            "unopened": looked.unopened,
            "rows": [{"row": row, "why": why} for row, why in looked.named],
        }
        for looked in findings.places
    ]
    document = {
        "ok": not findings.faults,
        "keys": keys.key_ids,
        "unneeded": findings.unneeded(keys),
        "redis": findings.redis is not None,
        "places": places,
    }
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
