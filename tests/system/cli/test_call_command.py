"""`lark-service call`: one call through a gateway, and every way in which it can end."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sandbox.feishu import SandboxFeishu
from sandbox.stack.ports import free_ports
from tests.support.command import Ran, run
from tests.support.gateway import Gateway

USER = "/open-apis/contact/v3/users/:user_id"
MESSAGE = {"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"[hi]"}'}

Call = Callable[..., Awaitable[Ran]]


@pytest.fixture
def call(gateway: Gateway, rabbitmq_url: str, tmp_path: Path) -> Call:
    """Makes a call; a producer has no other setting than the broker's address."""
    assert gateway.pid

    async def make(*words: str, stdin: str = "") -> Ran:
        return await run("call", *words, folder=tmp_path, stdin=stdin, RABBITMQ_URL=rabbitmq_url)

    return make


async def test_it_shows_feishus_answer_to_people(call: Call) -> None:
    ran = await call("get", USER, "--param", "user_id=ou_1", "--id", "mine-1")

    assert ran.code == 0, ran.err
    assert ran.out.startswith("ok  HTTP 200  GET /open-apis/contact/v3/users/:user_id")
    assert "mine-1" in ran.out
    assert '"open_id": "ou_1"' in ran.out


async def test_json_is_the_reply_as_it_came(call: Call) -> None:
    ran = await call("GET", USER, "-p", "user_id=ou_1", "--id", "mine-2", "--json")

    assert ran.code == 0, ran.err
    assert list(ran.json) == ["ok", "call_id", "response", "error", "meta"]
    assert (ran.json["ok"], ran.json["call_id"]) == (True, "mine-2")


@pytest.mark.parametrize("source", ["argument", "file", "input"])
async def test_a_body_comes_from_the_line_a_file_or_the_input(
    call: Call, simulated: SandboxFeishu, tmp_path: Path, source: str
) -> None:
    text = json.dumps(MESSAGE | {"receive_id": f"oc_{source}"})
    (tmp_path / "body.json").write_text(text)
    body = {"argument": text, "file": "@body.json", "input": "-"}[source]
    query = ("-q", "receive_id_type=chat_id")

    ran = await call("POST", "/open-apis/im/v1/messages", *query, "--body", body, stdin=text)

    assert ran.code == 0, ran.err
    assert len(simulated.world.messages.stored(f"oc_{source}")) == 1


async def test_a_file_is_sent_as_a_form(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    words = ("--form", "image_type=message", "--file", "image=a.png", "--json")

    ran = await call("POST", "/open-apis/im/v1/images", *words)

    assert ran.code == 0, ran.err
    assert ran.json["response"]["body"]["data"]["image_key"].startswith("img_")


@pytest.mark.parametrize(
    ("user", "type_", "code"),
    [
        ("sim_permission", "permission_denied", 1),
        ("sim_code_1061002", "feishu_error", 1),
        ("sim_app_disabled", "app_unavailable", 3),
    ],
)
async def test_an_error_is_told_and_decides_the_exit_code(
    call: Call, user: str, type_: str, code: int
) -> None:
    ran = await call("GET", USER, "-p", f"user_id={user}")

    assert ran.code == code, ran.err
    assert ran.out.startswith(f"error  {type_}  HTTP ")
    assert "log id" in ran.out


async def test_an_unknown_app_is_a_mistake_of_the_caller(call: Call) -> None:
    ran = await call("GET", USER, "-p", "user_id=ou_1", "--app", "nobody")

    assert ran.code == 2
    assert "unrouted" in ran.out


async def test_a_user_without_a_grant_is_a_matter_of_credentials(call: Call) -> None:
    ran = await call("GET", USER, "-p", "user_id=ou_1", "--as", "user:ou_2")

    assert ran.code == 3
    assert "reauth_required" in ran.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("GET", USER), "path_params: 'user_id' is missing"),
        (("FETCH", "/open-apis/a"), "method: "),
        (("GET", "/v1/users"), "path: must begin with /open-apis/"),
        (("GET", "/open-apis/a", "-H", "Host: x"), "headers: 'Host' is not allowed"),
        (("GET", "/open-apis/a", "--id", "a b"), "--id: must be"),
        (("GET", "/open-apis/a", "--app", "A"), "--app: must be"),
        (("POST", "/open-apis/a", "--body", "{"), "--body: the argument is not JSON"),
        (("POST", "/open-apis/a", "--body", "@nix"), "--body: cannot read nix: No such file"),
        (("POST", "/open-apis/a", "--file", "f=nix"), "--file: cannot read nix: No such file"),
        (("GET", "/open-apis/a", "--timeout", "0"), "--timeout"),
    ],
)
async def test_what_is_no_call_is_said_before_anything_is_contacted(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    ran = await run("call", *words, folder=tmp_path, RABBITMQ_URL="amqp://127.0.0.1:1/")

    assert ran.code == 2
    assert reason in ran.err


async def test_a_dry_run_contacts_nothing_and_needs_no_setting(tmp_path: Path) -> None:
    words = ["call", "POST", "/open-apis/im/v1/messages", "-q", "receive_id_type=chat_id"]
    words += ["-d", json.dumps(MESSAGE), "--id", "order-1", "--dry-run"]
    closed = {"RABBITMQ_URL": "amqp://127.0.0.1:1/", "LARK_DOMAIN": "https://open.larksuite.com"}

    ran = await run(*words, folder=tmp_path, **closed)
    as_json = (await run(*words, "--json", folder=tmp_path)).json

    assert ran.code == 0, ran.err
    assert ran.out.startswith(
        "POST https://open.larksuite.com/open-apis/im/v1/messages?receive_id_type=chat_id\n"
        "Authorization: Bearer <redacted>\n"
    )
    assert as_json["idempotency_key"]["body.uuid"] in ran.out
    assert "1000 in 60 s and 50 in 1 s, from Feishu's documentation" in ran.out


async def test_a_dry_run_knows_the_limits_of_the_site(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text('[limits]\n"GET /open-apis/im/v1/chats" = "3/1"\n')
    words = ("call", "GET", "/open-apis/im/v1/chats", "--dry-run", "--json")

    ran = await run(*words, folder=tmp_path, LARK_SERVICE_LIMITS_FILE="limits.toml")

    assert ran.json["limits"] == ["3/1"]
    assert ran.json["limits_from"] == "LARK_SERVICE_LIMITS_FILE, [limits]"


async def test_a_broker_that_is_not_there_is_told_with_its_place(tmp_path: Path) -> None:
    port = free_ports(1)[0]

    ran = await run(
        "call",
        "GET",
        "/open-apis/a",
        folder=tmp_path,
        RABBITMQ_URL=f"amqp://u:pw@127.0.0.1:{port}/",
    )

    assert ran.code == 4
    assert ran.err == (
        f"RabbitMQ cannot be reached at 127.0.0.1:{port}: Connection refused. "
        "Is RABBITMQ_URL right?\n"
    )


async def test_a_refused_login_is_a_mistake_in_the_settings(
    rabbitmq_url: str, tmp_path: Path
) -> None:
    login, _, place = rabbitmq_url.partition("@")
    wrong = f"{login}no@{place}"

    ran = await run("call", "GET", "/open-apis/a", folder=tmp_path, RABBITMQ_URL=wrong)

    assert ran.code == 2
    assert "refuses the user or the password" in ran.err
    assert login.rpartition(":")[2] not in ran.err
