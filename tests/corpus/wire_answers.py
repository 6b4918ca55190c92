"""B14: answers whose framing lies, never ends, or holds what belongs to no request."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.forms import BAD, CUT, ECHO, ERROR, FOREIGN, NO_HTTP, OK, SLOW, Form, answer

_ANY = OK | NO_HTTP | ERROR
_LENGTHS = {
    "too long": (b"Content-Length: LENGTH+5\r\n", CUT),
    "far too long": (b"Content-Length: 999999999999\r\n", NO_HTTP),
    "of 30 digits": (b"Content-Length: 1" + b"0" * 30 + b"\r\n", NO_HTTP),
    "too short": (b"Content-Length: LENGTH-5\r\n", BAD),
    "nothing": (b"Content-Length: 0\r\n", BAD),
    "negative": (b"Content-Length: -1\r\n", NO_HTTP),
    "with a sign": (b"Content-Length: +LENGTH\r\n", NO_HTTP),
    "hexadecimal": (b"Content-Length: 0x20\r\n", NO_HTTP),
    "words": (b"Content-Length: many\r\n", NO_HTTP),
    "empty": (b"Content-Length: \r\n", NO_HTTP),
    "with a comma": (b"Content-Length: LENGTH, LENGTH\r\n", _ANY),
    "twice, alike": (b"Content-Length: LENGTH\r\nContent-Length: LENGTH\r\n", _ANY),
    "twice": (b"Content-Length: LENGTH\r\nContent-Length: 5\r\n", NO_HTTP),
    "and chunked": (b"Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n", NO_HTTP),
    "none": (b"", OK),
    "of an unknown coding": (b"Transfer-Encoding: x\r\n", _ANY),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n", NO_HTTP),
}
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_CHUNKS = {
    "no size": (b"\r\nabc\r\n0\r\n\r\n", NO_HTTP),
    "a size of letters": (b"zz\r\nabc\r\n0\r\n\r\n", NO_HTTP),
    "a negative size": (b"-3\r\nabc\r\n0\r\n\r\n", NO_HTTP),
    "a huge size": (b"f" * 40 + b"\r\nabc", NO_HTTP),
    "a size too large": (b"ff\r\nabc\r\n0\r\n\r\n", NO_HTTP),
    "a size too small": (b"1\r\nabc\r\n0\r\n\r\n", NO_HTTP),
    "no end": (b'a\r\n{"code":0}\r\n', NO_HTTP),
    "half an end": (b'a\r\n{"code":0}\r\n0\r\n', NO_HTTP | OK),
    "an extension": (b'a;x=y\r\n{"code":0}\r\n0\r\n\r\n', OK),
    "a long extension": (b"a;" + b"x" * 100_000 + b'\r\n{"code":0}\r\n0\r\n\r\n', _ANY),
    "a trailer": (b'a\r\n{"code":0}\r\n0\r\nx-tt-logid: y\r\n\r\n', _ANY),
    "a thousand trailers": (b'a\r\n{"code":0}\r\n0\r\n' + b"X: y\r\n" * 1_000 + b"\r\n", _ANY),
    "line feeds": (b'a\n{"code":0}\n0\n\n', _ANY),
    "one byte each": (
        b"".join(b"1\r\n%c\r\n" % c for c in b'{"code":0}' + b" " * 9_000) + b"0\r\n\r\n",
        OK,
    ),
}
_LINES = [
    *(
        b"HTTP/1.0 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/9.9 200 OK",
        b"http/1.1 200 OK",
    ),
    *(
        b"ICY 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1200 OK",
        b"200 OK",
    ),
    *(
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 -200 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 000 x",
    ),
    *(
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 600 x",
        b"HTTP/1.1 999 x",
        b"\0HTTP/1.1 200 OK",
        b" HTTP/1.1 200 OK",
    ),
    *(
        b"HTTP/1.1 200 " + b"x" * 100_000,
        b"HTTP/1.1 200 \xff\0",
        b"SSH-2.0-OpenSSH",
        b"\x16\x03\x01\x02",
    ),
    *(b"<html>", b"GET / HTTP/1.1", b"+OK redis", b"", b"HTTP/1.1 101 Switching Protocols"),
]
_HEADERS = {
    "a NUL": b"x-tt-logid: a\0b\r\n",
    "an escape": b"x-tt-logid: \x1b[31m\r\n",
    "CR alone": b"x-tt-logid: a\rb\r\n",
    "no UTF-8": b"x-tt-logid: \xff\xfe\xed\xa0\x80\r\n",
    "Chinese": "x-tt-logid: 字\r\n".encode(),
    "8 KiB": b"x-tt-logid: " + b"x" * 8_000 + b"\r\n",
    "a megabyte": b"x-tt-logid: " + b"x" * 1_000_000 + b"\r\n",
    "a name of 64 KiB": b"x" * 65_536 + b": y\r\n",
    "no colon": b"x-tt-logid\r\n",
    "no name": b": x\r\n",
    "a blank before the colon": b"x-tt-logid : x\r\n",
    "a NUL in a name": b"x\0y: z\r\n",
    "folded": b"x-tt-logid: a\r\n b\r\n",
    "folded first": b" x: y\r\n",
    "a thousand": b"".join(b"X-%d: y\r\n" % n for n in range(1_000)),
    "100,000": b"".join(b"X-%d: y\r\n" % n for n in range(100_000)),
    "one a thousand times": b"x-tt-logid: y\r\n" * 1_000,
    "a file name": b'content-disposition: attachment; filename="../../x\xff"\r\n',
    "a range": b"content-range: bytes 0-1/" + b"9" * 400 + b"\r\n",
    "a cookie": b"Set-Cookie: session=stolen; Path=/\r\n",
    "a cookie of all": b"Set-Cookie: a=b; Domain=127.0.0.1; Max-Age=999999\r\n",
    "a refresh": b"Refresh: 0; url=EVIL/x\r\n",
    "a service of its own": b'Alt-Svc: h2="evil.example:443"; ma=86400\r\n',
    "a link": b"Link: <EVIL/x>; rel=preload\r\n",
    "an upgrade": b"Upgrade: h2c\r\n",
    "a proxy's question": b"Proxy-Authenticate: Basic\r\nWWW-Authenticate: Basic\r\n",
}
_FOREIGN = b'{"code":0,"msg":"%s"}' % FOREIGN
_EXTRA = {
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_FOREIGN) + _FOREIGN,
    "a failure": b"HTTP/1.1 500 x\r\nContent-Length: 14\r\n\r\n" + FOREIGN,
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + FOREIGN,
    "a head": b"HTTP/1.1 200 OK\r\n",
    "a body": FOREIGN,
    "a line break": b"\r\n",
    "a NUL": b"\0",
    "100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a hundred answers": b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n%s" % FOREIGN * 100,
}


def forms() -> Iterator[Form]:
    """What is no HTTP, or HTTP of another meaning than it looks."""
    for name, (length, ends) in _LENGTHS.items():
        yield Form(f"length: {name}", answer(length=length), ends)
    for name, (body, ends) in _CHUNKS.items():
        yield Form(f"chunks: {name}", answer(body, length=_CHUNKED), ends)
    for line in _LINES:
        data = line + answer()[len(b"HTTP/1.1 200 OK") :]
        yield Form(f"line {line[:24]!r}", data, _ANY)
    for name, lines in _HEADERS.items():
        yield Form(f"header: {name}", answer(more=lines), _ANY)
    for status in (b"100 Continue", b"102 Processing", b"103 Early Hints"):
        data = b"HTTP/1.1 " + status + b"\r\nLink: </x>\r\n\r\n"
        # Its length is counted here, for LENGTH is that of what follows the first head.
        body = b'{"code":0}'
        data += answer(body, length=b"Content-Length: %d\r\n" % len(body))
        yield Form(f"first {status.decode()}", data, OK)
    for name, extra in _EXTRA.items():
        body = b'{"code":0,"msg":"own"}'
        head = answer(body, length=b"Content-Length: %d\r\n" % len(body), connection=b"")
        yield Form(f"after it {name}", head + extra, OK | BAD, closes=False)
        yield Form(f"after it, later, {name}", head, OK | BAD, extra, 1, closes=False)
    yield from _ends()


def _ends() -> Iterator[Form]:
    for name, data in {
        "nothing": b"",
        "half a line": b"HTTP/1.1 20",
        "half a head": b"HTTP/1.1 200 OK\r\nContent-",
        "a head": answer(ECHO, length=b"Content-Length: 500\r\n").partition(b"{")[0],
        "half a body": answer(ECHO[:20], length=b"Content-Length: 500\r\n"),
        "half a chunk": answer(b"ff\r\nabc", length=_CHUNKED),
    }.items():
        yield Form(f"closed after {name}", data, NO_HTTP)
        yield Form(f"silent after {name}", data, SLOW, b"", 400, 0.01)
    yield Form(
        "a byte now and then", answer(length=b"Content-Length: 9999\r\n"), SLOW, b" ", 400, 0.01
    )
    yield Form("a header now and then", b"HTTP/1.1 200 OK\r\n", SLOW | BAD, b"X: y\r\n", 400, 0.01)
    piece = b"%x\r\n%s\r\n" % (65_536, b"x" * 65_536)
    endless = answer(b"", type_=b"text/plain", length=_CHUNKED)
    yield Form("endless chunks", endless, BAD, piece, 400)
    yield Form("endless", answer(b"", type_=b"text/plain", length=b""), BAD, b"x" * 65_536, 400)
    yield Form("endless head", b"HTTP/1.1 200 OK\r\nX: ", NO_HTTP, b"x" * 65_536, 400)
    for more in (0, 1):
        data = answer(b"x" * (10 * 1024 * 1024 + more), type_=b"text/plain")
        yield Form(f"10 MiB and {more}", data, BAD if more else OK)
