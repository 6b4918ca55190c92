"""What makes two calls the same call: their parsed content."""

from __future__ import annotations

import hashlib

import orjson

from schemas.call import Call

_WRITTEN = orjson.OPT_SORT_KEYS


def fingerprint(call: Call) -> bytes:
    """SHA-256 of what the call asks of Feishu, whatever its key order or white space.

    A default that is written out reads like one that is left out. `retry` does not count: how often
    a call may be tried does not make it another one.
    """
    identity = call.as_ if isinstance(call.as_, str) else call.as_.model_dump()
    content = (
        call.method,
        call.path,
        call.path_params,
        call.query,
        # Feishu reads names of headers whatever their case, and the order of fields in a form.
        {name.lower(): text for name, text in call.headers.items()},
        call.body,
        call.form,
        [part.model_dump() for part in call.files],
        identity,
    )
    return hashlib.sha256(orjson.dumps(content, option=_WRITTEN)).digest()
