"""B8: files and forms whose names, types or contents would break a multipart body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.corpus.seeds import Refused, Seed, Sent, Verdict, call, text

_BASE64 = [
    *("?", "YQ", "YQ=", "YQ===", "=", "====", "Y Q==", "YQ==\n", "\nYQ==", "_-8=", "YQ==YQ==", "é"),
    *("YWJj\r\nZGVm", "data:image/png;base64,YQ==", "YQ==x", "x" * 5, "\0", "%59%51", "YQ\u200b=="),
]
_NAMES = [
    *(
        "../../etc/passwd",
        "..\\..\\x",
        "/etc/passwd",
        "C:\\x",
        "CON",
        ".",
        "..",
        "a;b=c",
        "a, b",
        "a b",
    ),
    *(
        "a.png.exe",
        "\u7528\u6237.png",
        "é",
        "😀",
        "a%22b",
        "a%0d%0aX: y",
        "x" * 512,
        "a'b",
        "=?utf-8?q?a?=",
    ),
    *("\u202egnp.exe", "a\u2028b", "--x", "a\\", "${jndi:ldap://x}"),
]
_BAD_NAMES = ["", "a\r\nX: y", "a\nb", "a\rb", "a\0b", "a\tb", "a\x7fb", "\x1b[31m", "x" * 513]
_MEDIA = [
    *(
        "",
        "png",
        "image/",
        "/png",
        "image/png\r\nX: y",
        "image/png\n",
        "image/png;",
        "a/b/c",
        "image /png",
    ),
    *(
        "image/png; a=\r\nb",
        "image/png\0",
        "\u0456mage/png",
        'image/png; name="a"',
        "*/*",
        "x/" + "y" * 127,
    ),
]


def _file(**changes: Any) -> bytes:
    part = {"field": "f", "filename": "a.bin", "content_type": "a/b", "content_base64": "aGVsbG8="}
    return text(call(method="POST", files=[part | changes]))


def seeds() -> Iterator[Seed]:
    """What stays one part of its body, and what is refused."""
    sent = Sent("POST", parts=(b"\r\n\r\nhello\r\n",), without=(b"\r\nX: y",))
    for value in _BASE64:
        verdict: Verdict = Refused(("content_base64", "base64"))
        yield Seed(f"base64 {value!r}", verdict, _file(content_base64=value))
    for name in _NAMES:
        yield Seed(f"file name {name[:16]!r}", sent, _file(filename=name))
    for name in _BAD_NAMES:
        for key in ("field", "filename"):
            yield Seed(f"{key} {name[:16]!r}", Refused((key,)), _file(**{key: name}))
    for type_ in _MEDIA:
        verdict = Refused(("content_type",))
        yield Seed(f"media type {type_[:16]!r}", verdict, _file(content_type=type_))
    for name, value in {
        "a boundary": "--x\r\nContent-Disposition: form-data; name=y\r\n\r\nz\r\n--x--",
        "line breaks": "a\r\n\r\nb",
        "a NUL": "a\0b",
        "Chinese": "字",
        "nothing": "",
    }.items():
        parts = (f"\r\n\r\n{value}\r\n".encode(),)
        body = text(call(method="POST", form={"k": value}))
        yield Seed(f"form value of {name}", Sent("POST", parts=parts), body)
    for name in ("a\r\nX: y", 'a"; filename="b', "字", "a\0b", "", "a\\"):
        body = text(call(method="POST", form={name: "v"}))
        sent = Sent("POST", parts=(b"\r\n\r\nv\r\n",), without=(b"\r\nX: y",))
        yield Seed(f"form field {name!r}", sent, body)
    for name, fields in {
        "body and form": {"body": {}, "form": {}},
        "body and files": {"body": 0, "files": []},
        "form with GET": {"method": "GET", "form": {}},
        "files with GET": {"method": "GET", "files": []},
    }.items():
        body = text(call(**({"method": "POST"} | fields)))
        yield Seed(name, Refused(("form",)), body)
