"""JSON objects of which a field breaks its rule."""

from __future__ import annotations

from typing import Any

from tests.support.poison.kinds import CALL, Poison, call_with

FILE = {"field": "image", "filename": "a.png", "content_type": "image/png", "content_base64": ""}
POST = "/open-apis/im/v1/images"


def _kinds(field: str, values: dict[str, Any], *says: str, **others: Any) -> list[Poison]:
    """The good call with a value that its field may not have."""
    return [
        Poison(f"{field} {name}", call_with(**{field: value}, **others), (field, *says))
        for name, value in values.items()
    ]


NAMES = [
    Poison("no fields", {}, ("method", "required")),
    Poison("no method", call_with(method=...), ("method", "required")),
    Poison("no path", call_with(path=...), ("path", "required")),
    Poison("unknown field", call_with(url="https://evil.example/"), ("url",)),
    Poison("field in upper case", call_with(Method="GET"), ("Method",)),
    Poison("field as Python would name it", {**CALL, "as_": "app"}, ("as_",)),
    Poison("field without a name", {**CALL, "": 1}, ("field",)),
    Poison("a token of the producer's own", call_with(access_token="t-1"), ("access_token",)),
    Poison("field with a name of 10,000 characters", {**CALL, "x" * 10_000: 1}, ("xxx",)),
]

METHODS = _kinds(
    "method",
    {
        "in lower case": "get",
        "HEAD": "HEAD",
        "OPTIONS": "OPTIONS",
        "CONNECT": "CONNECT",
        "TRACE": "TRACE",
        "empty": "",
        "with a blank": "GET ",
        "with a request line": "GET / HTTP/1.1\r\nX: y",
        "in full width": "\uff27\uff25\uff34",
        "null": None,
        "number": 1,
        "list": ["GET"],
        "of 10,000 characters": "G" * 10_000,
    },
    "GET",
)

PATHS = [
    *_kinds(
        "path",
        {
            "empty": "",
            "of another API": "/admin",
            "without a slash": "open-apis/x/y",
            "of the root alone": "/open-apis",
            "in upper case": "/OPEN-APIS/x/y",
            "with another host": "//evil.example/open-apis/x",
            "that is a URL": "https://evil.example/open-apis/x",
            "with a user": "@evil.example/open-apis/x",
            "with a port and a user": ":443@evil.example/open-apis/x",
            "that goes on with the host": ".evil.example/open-apis/x",
            "after a blank": " /open-apis/x",
            "after a line break": "\n/open-apis/x",
        },
        "/open-apis/",
    ),
    *_kinds(
        "path",
        {
            "of nothing below": "/open-apis/",
            "with an empty segment": "/open-apis//x",
            "with a slash at its end": "/open-apis/x/",
            "with a dot segment": "/open-apis/./x",
            "that climbs": "/open-apis/../admin",
            "that climbs at its end": "/open-apis/x/..",
            "with a segment of a colon": "/open-apis/x/:",
        },
        "segments",
    ),
    *_kinds(
        "path",
        {
            "with encoded dots": "/open-apis/%2e%2e/admin",
            "with an encoded slash": "/open-apis/a%2fb",
            "with a query": "/open-apis/x?a=1",
            "with a fragment": "/open-apis/x#a",
            "with a semicolon": "/open-apis/x;a=1",
            "with a backslash": "/open-apis/x\\..\\y",
            "with a blank": "/open-apis/x y",
            "with a tab": "/open-apis/x\ty",
            "with a header": "/open-apis/x HTTP/1.1\r\nHost: evil.example",
            "with a line break at its end": "/open-apis/x\n",
            "with a NUL": "/open-apis/x\0",
            "with an asterisk": "/open-apis/*",
            "with a plus": "/open-apis/a+b",
            "with a brace": "/open-apis/{id}",
            "in Chinese": "/open-apis/用户",
            "with a slash that only looks so": "/open-apis/x\u2215..\u2215y",
        },
        "segments",
    ),
    *_kinds("path", {"of 513 characters": "/open-apis/" + "x" * 502}, "512"),
    *_kinds("path", {"null": None, "number": 1, "list": ["/open-apis/x"], "object": {}}, "string"),
]

_USER = "/open-apis/contact/v3/users/:user_id"
PARAMS = [
    *_kinds("path_params", {"missing": {}, "left out": ...}, "user_id", "missing", path=_USER),
    *_kinds(
        "path_params",
        {"of another case": {"User_id": "ou_1"}, "with its colon": {":user_id": "ou_1"}},
        path=_USER,
    ),
    *_kinds("path_params", {"unused": {"user_id": "ou_1", "id": "1"}}, "id", path=_USER),
    *_kinds("path_params", {"without a segment": {"ou_poison": "ou_1"}}, "ou_poison"),
    *_kinds(
        "path_params",
        {
            "empty": {"user_id": ""},
            "of a dot": {"user_id": "."},
            "that climb": {"user_id": ".."},
        },
        "user_id",
        path=_USER,
    ),
    *_kinds("path_params", {"of 257 characters": {"user_id": "x" * 257}}, "256", path=_USER),
    *_kinds(
        "path_params",
        {"number": {"user_id": 1}, "null in it": {"user_id": None}, "list in it": {"user_id": []}},
        "user_id",
        "string",
        path=_USER,
    ),
    *_kinds("path_params", {"null": None, "list": ["ou_1"], "string": "ou_1"}, path=_USER),
]

QUERIES = [
    *_kinds("query", {"null": None, "list": [["a", 1]], "string": "a=1", "number": 1}, "object"),
    *_kinds(
        "query",
        {
            "value null": {"a": None},
            "value object": {"a": {}},
            "list in a list": {"a": [[1]]},
            "null in a list": {"a": ["x", None]},
            "object in a list": {"a": [{}]},
            "one of many": {"b": 1, "a": None},
        },
        "'a'",
    ),
]

FORMS = [
    Poison("body with form", call_with(method="POST", body={}, form={"a": "b"}), ("body", "form")),
    Poison("body with files", call_with(method="POST", body=0, files=[FILE]), ("body", "files")),
    Poison("GET with form", call_with(form={"a": "b"}), ("form", "GET")),
    Poison("GET with no files", call_with(files=[]), ("files", "GET")),
    *_kinds("form", {"null": None, "list": [], "string": "a=b"}, path=POST, method="POST"),
    *_kinds(
        "form",
        {"number": {"a": 1}, "null in it": {"a": None}, "object in it": {"a": {}}},
        "a",
        "string",
        path=POST,
        method="POST",
    ),
    *_kinds("files", {"null": None, "object": {}, "string": "x"}, path=POST, method="POST"),
    *(
        Poison(
            f"file without {name}",
            call_with(
                method="POST", path=POST, files=[{k: v for k, v in FILE.items() if k != name}]
            ),
            ("files", name, "required"),
        )
        for name in FILE
    ),
    *(
        Poison(
            f"file's {name} {how}",
            call_with(method="POST", path=POST, files=[FILE, FILE | {name: value}]),
            ("files", name),
        )
        for name, how, value in [
            ("url", "unknown", "https://evil.example/"),
            ("field", "empty", ""),
            ("field", "with a header", 'a"\r\nX: y'),
            ("field", "number", 1),
            ("filename", "empty", ""),
            ("filename", "with a header", 'a"\r\nX: y'),
            ("filename", "with a NUL", "a\0b"),
            ("content_type", "empty", ""),
            ("content_type", "of one word", "png"),
            ("content_type", "with a header", "image/png\r\nX: y"),
            ("content_base64", "not base64", "???"),
            ("content_base64", "base64url", "_-8="),
            ("content_base64", "broken off", "abc"),
            ("content_base64", "with line breaks", "YWJj\nZGVm"),
            ("content_base64", "null", None),
            ("content_base64", "list of bytes", [1, 2]),
        ]
    ),
]

IDENTITIES = _kinds(
    "as_",
    {
        "unknown": "bot",
        "the user without a key": "user",
        "in upper case": "Tenant",
        "empty": "",
        "null": None,
        "number": 1,
        "list": ["tenant"],
        "object without keys": {},
        "tenant without a key": {"tenant": ""},
        "tenant of 257 characters": {"tenant": "x" * 257},
        "user that is a number": {"user": 1},
        "tenant and user": {"tenant": "t", "user": "u"},
        "app as an object": {"app": "default"},
        "tenant of a self-built app": {"tenant": "2ed263bf32cf1651"},
    },
)
IDENTITIES = [Poison(kind.name.replace("as_", "as"), kind.body, ("as:",)) for kind in IDENTITIES]

RETRIES = _kinds(
    "retry",
    {"unknown": "twice", "in upper case": "Safe", "null": None, "true": True, "number": 3},
    "safe",
)

KINDS = [*NAMES, *METHODS, *PATHS, *PARAMS, *QUERIES, *FORMS, *IDENTITIES, *RETRIES]
