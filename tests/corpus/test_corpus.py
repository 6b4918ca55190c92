"""No message and no answer stops the gateway, whatever is in it: all seeds, through real servers.

Of each: one end within the contract's time; nothing at Feishu that was not asked for, and to the
letter what was; the error named; the same process as before, which goes on to serve good calls.
"""

from __future__ import annotations

import json
from itertools import count

import pytest

from sandbox.feishu import DEFAULT_SECRET
from tests.corpus.catalogue import CATEGORIES, seeds_of
from tests.corpus.host import Host
from tests.corpus.oracle import flaws
from tests.corpus.seeds import Seed, Sent, call, text
from tests.corpus.waves import Fate, Mailbox, answered_forms, is_settled, send, waves
from tests.support.canaries import Canaries
from tests.support.gateway import Gateway
from tests.support.producer import Producer

MOST_SHOWN = 200
LINE_BYTES = 16 * 1024
SECONDS = 300
"""For the largest category, on a machine that does much else."""
_numbers = count()


@pytest.fixture(scope="module")
def mailbox(gateway: Gateway, producer: Producer) -> Mailbox:
    """Everything that the producer gets."""
    assert gateway.pid
    return Mailbox(producer)


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("category", CATEGORIES)
async def test_each_seed_ends_as_it_must(
    category: str, gateway: Gateway, producer: Producer, mailbox: Mailbox, host: Host
) -> None:
    seeds, pid = seeds_of(category), gateway.pid
    host.forms.update(answered_forms(seeds))
    sent: list[Seed] = []
    fates: dict[str, Fate] = {}
    for wave in waves(seeds):
        good = Seed(f"a good call after {wave[-1].name}", Sent(), text(call()))
        last = [good.marked(f"b99-{next(_numbers)}")]
        for part in (wave, last):
            fates |= await send(part, producer, mailbox, host)
            sent += part
        assert gateway.pid == pid, f"after {wave[-1].name}"
        if not all(is_settled(seed, fates[seed.mark], host) for seed in wave):
            # What is missing was waited for; the others would wait as long.
            break

    wrong = [
        f"{seed.name}: {flaw}"
        for seed in sent
        for flaw in flaws(seed, fates[seed.mark], host.received[seed.mark])
    ]
    assert not wrong, "\n".join([f"{len(wrong)} flaws", *wrong[:MOST_SHOWN]])


def test_nothing_came_twice_or_late_or_to_nobody(mailbox: Mailbox) -> None:
    mailbox.collect()

    assert mailbox.unknown == []
    assert [fate for fate in mailbox.fates if max(len(fate.replies), len(fate.letters)) > 1] == []


def test_nobody_was_asked_but_feishu_and_with_nothing_but_its_token(host: Host) -> None:
    requests = [request for many in host.received.values() for request in many]
    tokens = {f"Bearer {token}" for token in host.issued} | {""}

    assert host.strays == 0
    assert {request.target for request in host.received[""]} <= {_GOOD_PATH}
    assert {value for request in requests for value in request.values("authorization")} <= tokens
    assert {request.values("host")[0] for request in requests} == {host.url.removeprefix("http://")}
    assert [request for request in requests if request.values("cookie")] == []


def test_no_secret_was_answered_or_written(
    gateway: Gateway, producer: Producer, host: Host
) -> None:
    canaries = Canaries()
    canaries.watch("app secret", DEFAULT_SECRET)
    for place, token in enumerate(host.issued):
        canaries.watch(f"token {place}", token)
    canaries.add_messages("reply", producer.replies)
    canaries.add_messages("dead letter", producer.letters)
    canaries.add("log", gateway.log.read_bytes())

    assert canaries.found() == []


def test_every_line_of_the_log_is_one_event(gateway: Gateway) -> None:
    lines = gateway.log.read_bytes().split(b"\n")[:-1]
    longest = max(len(line) for line in lines)

    events = [json.loads(line)["event"] for line in lines]

    assert "forged" not in events
    assert longest <= LINE_BYTES


_GOOD_PATH = "/open-apis/contact/v3/users/ou_good"
