import pytest

from gateway.outcomes.protocol import Recorded
from gateway.outcomes.values import pack, unpack


@pytest.mark.parametrize(
    "recorded",
    [
        Recorded(b'{"status":200}', None, 1, "default"),
        Recorded(None, b'{"type":"outcome_unknown"}', 0, "default"),
        Recorded(b'{"status":400}', b'{"type":"feishu_error"}', 3, "other_app"),
        Recorded(b'"\n"', b"", 2, "a"),
        Recorded(None, None, 1, "a"),
        Recorded(b"x" * 200_000, b"y" * 10, 1, "a"),
    ],
    ids=["ok", "error alone", "both", "line feed", "neither", "large"],
)
def test_what_is_packed_is_unpacked_the_same(recorded: Recorded) -> None:
    assert unpack(pack(recorded)) == recorded


def test_a_large_end_is_compressed() -> None:
    assert len(pack(Recorded(b'{"name":"chat"}' * 10_000, None, 1, "a"))) < 5_000


@pytest.mark.parametrize("value", [b"", b"p", b"zjunk", b"p[1]\n", b"p{}\n", b"pnull\nrest"])
def test_what_is_no_end_is_none(value: bytes) -> None:
    assert unpack(value) is None
