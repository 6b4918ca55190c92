"""`lark-service producer`: mistakes end with 2, and a change of what everybody may is confirmed."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import Ran, run

API = "GET /open-apis/im/v1/chats/:chat_id"


async def test_grants_are_made_shown_and_taken_with_a_word_for_the_first_and_the_last(
    database_url: str, tmp_path: Path
) -> None:
    async def producer(*words: str) -> Ran:
        settings = {"LARK_APP_ID": "cli_1", "LARK_APP_SECRET": "s", "DATABASE_URL": database_url}
        return await run("producer", *words, folder=tmp_path, **settings)

    first = await producer("grant", "billing", "--app", "default")
    assert first.code == 2
    assert "first grant" in first.err
    assert "--yes" in first.err
    one = await producer("grant", "billing", "--app", "default", "--api", API[:-8] + "oc_1")
    assert one.code == 2
    assert "whole APIs" in one.err

    new = ("--api", API[:-8] + ":x", "--api", "POST /open-apis/new/v1/things")
    made = await producer("grant", "billing", "--app", "default", *new, "--user-tokens", "--yes")
    assert made.code == 0, made.err
    assert "does not list POST /open-apis/new/v1/things" in made.err
    assert "rabbitmqctl set_topic_permissions -p / billing lark.calls" in made.out
    listed = await producer("list")
    assert API in listed.out, "in the words of the documentation"

    taken = await producer("revoke", "billing", "--yes", "--json")
    assert taken.code == 0, taken.err
    assert taken.json["grants"] == []
    assert taken.json["permissions"]["write"] == "^$"
