from __future__ import annotations

from lark_service_client.link import longest_delay


def test_the_longest_delay_doubles_from_a_fifth_of_a_second_to_five_seconds() -> None:
    assert [longest_delay(attempt) for attempt in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert longest_delay(10_000) == 5.0
