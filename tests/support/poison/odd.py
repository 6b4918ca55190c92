"""Properties that RabbitMQ lets pass and that few programs expect."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any


def table_of(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return table


ODD: Mapping[str, Mapping[str, Any]] = {
    "timestamp in microseconds": {"timestamp": 1_700_000_000_000_000},
    "largest timestamp": {"timestamp": 2**64 - 1},
    "property that is no UTF-8": {"app_id": b"\xff\xfe"},
    "property with a NUL": {"app_id": "\0"},
    "header name that is no UTF-8": {"headers": b"\x02\xff\xfet\x01"},
    "header that is no UTF-8": {"headers": b"\x01aS\0\0\0\x02\xff\xfe"},
    "header timestamp out of range": {"headers": b"\x01aT" + b"\xff" * 8},
    "large double": {"headers": b"\x01ad" + struct.pack(">d", 1e300)},
    "odd decimal": {"headers": b"\x01aD\xff\x7f\xff\xff\xff"},
    "types": {"headers": {"a": 2**63 - 1, "b": None, "c": bytearray(9)}},
    "9,000 headers": {"headers": {f"h{n}": n for n in range(9_000)}},
    "header that fills its frame": {"headers": {"large": "x" * 130_850}},
    "headers of 100 levels": {"headers": table_of(100)},
    "headers of 3,000 levels": {"headers": table_of(3_000)},
    "x-death that is none": {"headers": {"x-death": "x"}},
    "empty x-death": {"headers": {"x-death": []}},
    "x-death of nothing": {"headers": {"x-death": [{}]}},
    "very long deadline": {"headers": {"lark-deadline": "9" * 100_000}},
    "header name of 255 bytes": {"headers": {"n" * 255: 1}},
}
