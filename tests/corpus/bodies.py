"""B8: bodies in other codes, packed, and of every size that matters."""

from __future__ import annotations

import base64
import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterator

from tests.corpus.seeds import (
    MARK,
    Refused,
    Seed,
    Sent,
    call,
    malformed,
    sent_body,
    text,
    with_body,
)

_MOST = 16 * 1024 * 1024
_GOOD = text(call())
_ZEROS = b"\0" * 10_000_000
_PACKED = {
    "gzip": gzip.compress(_GOOD),
    "deflate": zlib.compress(_GOOD),
    "raw deflate": zlib.compress(_GOOD)[2:-4],
    "bzip2": bz2.compress(_GOOD),
    "xz": lzma.compress(_GOOD),
    "gzip of zeros": gzip.compress(_ZEROS),
    "deflate of zeros": zlib.compress(_ZEROS),
    "gzip in gzip": gzip.compress(gzip.compress(_ZEROS)),
    "gzip broken off": gzip.compress(_GOOD)[:-4],
}
_CODINGS = [
    *("gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "compress", "bzip2", "base64", "aes256"),
    *(
        "gzip, gzip",
        "utf-8, gzip",
        "UTF-8",
        "utf8",
        "utf-16",
        "Identity",
        "identity ",
        "",
        "\0",
        "*",
    ),
]
_TYPES = [
    *("text/plain", "text/json", "application/jsonx", "application/x-json", "application/json-seq"),
    *(
        "application/vnd.api+json",
        "application/octet-stream",
        "application/x-python-serialize",
        "json",
    ),
    *(
        "application/x-java-serialized-object",
        "multipart/form-data; boundary=x",
        "",
        " ",
        "*/*",
        ";",
    ),
    *(
        "; charset=utf-8",
        "application",
        "application/",
        "/json",
        "application/json,text/plain",
        "\0",
    ),
    *("application/json\0", "a" * 255, "application/\u0458son", "text/html; application/json"),
]
_GOOD_TYPES = [
    *(
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;",
    ),
    *(" application/json ", "application/json; charset=gbk", "application/json;a=b;c=d", None),
]
_CODES = (
    *("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"),
    *("utf-32-be", "utf-8-sig", "cp037"),
)
_PICKLE = (
    b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."
)


def seeds() -> Iterator[Seed]:
    """All of them; the packed ones are never unpacked."""
    for name, packed in _PACKED.items():
        yield Seed(f"{name}, not announced", malformed("JSON"), packed)
        announced = {"content_encoding": name.partition(" ")[0]}
        yield Seed(f"{name}, announced", Refused(("content_encoding",)), packed, announced)
    for coding in _CODINGS:
        given = {"content_encoding": coding}
        yield Seed(f"coding {coding!r}", Refused(("content_encoding",)), _GOOD, given)
    for coding in ("identity", "utf-8", None):
        yield Seed(f"coding {coding!r}", Sent(), _GOOD, {"content_encoding": coding})
    for type_ in _TYPES:
        given = {"content_type": type_}
        yield Seed(f"type {type_[:24]!r}", Refused(("content_type",)), _GOOD, given)
    for good in _GOOD_TYPES:
        yield Seed(f"type {good!r}", Sent(), _GOOD, {"content_type": good})
    yield from _coded()
    yield from _sizes()


def _coded() -> Iterator[Seed]:
    for code in _CODES:
        yield Seed(f"written in {code}", malformed("JSON"), _GOOD.decode().encode(code))
    for mark in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE, b"\0", b"\x1f\x8b"):
        yield Seed(f"after {mark!r}", malformed("JSON"), mark + _GOOD)
    for name, body in {
        "a pickle": _PICKLE,
        "base64": base64.b64encode(_GOOD),
        "a form": b"method=GET&path=%2Fopen-apis%2Fx",
        "XML": b"<call><method>GET</method></call>",
        "YAML": b"method: GET\npath: /open-apis/x\n",
        "two calls": _GOOD + b"\n" + _GOOD,
        "nothing": b"",
        "blanks": b" \r\n\t",
        "a NUL": b"\0",
        "all bytes": bytes(range(256)),
        "a call and a NUL": _GOOD + b"\0",
        "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    }.items():
        yield Seed(f"body of {name}", malformed("empty" if name == "nothing" else "JSON"), body)


def _sizes() -> Iterator[Seed]:
    frame = with_body(b'""')
    # The mark that is put in for MARK is longer.
    mark = len("b8-000") - len(MARK)
    for more, verdict in ((-1, None), (0, None), (1, malformed("16777216"))):
        value = b'"' + b"x" * (_MOST - len(frame) - mark + more) + b'"'
        yield Seed(f"16 MiB and {more}", verdict or sent_body(value), with_body(value))
    yield Seed("16 MiB of no JSON and a byte", malformed("16777216"), b"x" * (_MOST + 1))
    for levels in (62, 63, 64, 65, 1_023, 1_025):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            value = opening * (levels - 1) + opening[:1] + closing[:1] + closing * (levels - 1)
            deep = malformed("64") if levels < 1_000 else malformed()
            verdict = sent_body(value) if levels < 64 else deep
            yield Seed(f"{levels} levels of {opening!r}", verdict, with_body(value))
