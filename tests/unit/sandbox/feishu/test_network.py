"""How the delays of a network are spread."""

from sandbox.feishu.network import Network

NETWORK = {
    "before_ms": [10, 80],
    "after_ms": [20, 30],
    "tail": {"share": 0.01, "ms": 380},
    "seed": 7,
}


def test_delays_lie_between_their_bounds_and_a_share_beyond() -> None:
    network = Network.parse(NETWORK)
    delays = [network.before() for _ in range(20_000)]
    beyond = [delay for delay in delays if delay > 0.08]
    assert min(delays) >= 0.01
    assert max(delays) <= 0.38
    assert 150 <= len(beyond) <= 250
    usual = [delay for delay in delays if delay <= 0.08]
    assert 0.044 <= sum(usual) / len(usual) <= 0.046
    assert min(network.after() for _ in range(100)) >= 0.02


def test_a_seed_repeats_the_delays() -> None:
    rows = [[network.before() for _ in range(50)] for network in map(Network.parse, [NETWORK] * 2)]
    assert rows[0] == rows[1]
    assert rows[0] != [Network.parse(NETWORK | {"seed": 8}).before() for _ in range(50)]


def test_without_bounds_nothing_is_delayed() -> None:
    network = Network.parse({"tail": {"share": 1, "ms": 380}})
    assert (network.before(), network.after()) == (0.0, 0.0)


def test_one_number_is_an_even_delay() -> None:
    assert Network.parse({"before_ms": 40}).before() == 0.04
