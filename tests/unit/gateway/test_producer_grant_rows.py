"""Which words name APIs, and which calls they hold."""

from __future__ import annotations

import pytest

from gateway.app_rows import RegistryError
from gateway.producer_grant_rows import as_documented, check_producer, read_apis
from tests.support.builders import dimensions

CATALOGUE = dimensions().catalogue


def held(granted: str, method: str, path: str) -> bool:
    apis, _ = as_documented(read_apis(granted), CATALOGUE)
    return apis.hold(method, path, CATALOGUE.route(method, path))


@pytest.mark.parametrize(
    ("granted", "method", "path", "holds"),
    [
        ("POST /open-apis/im/v1/messages", "POST", "/open-apis/im/v1/messages", True),
        ("POST /open-apis/im/v1/messages", "GET", "/open-apis/im/v1/messages", False),
        ("POST /open-apis/im/v1/messages", "POST", "/open-apis/im/v1/messages/om_1/reply", False),
        ("GET /open-apis/im/v1/chats/:id", "GET", "/open-apis/im/v1/chats/oc_1", True),
        ("GET /open-apis/im/v1/chats/:id", "GET", "/open-apis/im/v1/chats/search", False),
        ("GET /open-apis/im/v1/chats/search", "GET", "/open-apis/im/v1/chats/search", True),
        ("GET /open-apis/im/v1/chats/search", "GET", "/open-apis/im/v1/chats/oc_1", False),
        ("GET /open-apis/im/*", "GET", "/open-apis/im/v1/chats/oc_1", True),
        ("GET /open-apis/im/*", "GET", "/open-apis/imx/v1/chats", False),
        ("GET /open-apis/im/*", "GET", "/open-apis/IM/v1/chats", False),
        ("GET /open-apis/im/*", "DELETE", "/open-apis/im/v1/chats/oc_1", False),
        ("GET /open-apis/im/v1/chats/*", "GET", "/open-apis/im/v1/chats", False),
        ("* /open-apis/im/*", "DELETE", "/open-apis/im/v1/chats/oc_1", True),
        ("*", "DELETE", "/open-apis/anything", True),
        ("POST /open-apis/new/v1/things/:id", "POST", "/open-apis/new/v1/things/7", True),
        ("POST /open-apis/new/v1/things/:id", "POST", "/open-apis/new/v1/things/7/x", False),
        # What means something to a regular expression or to a shell means nothing here.
        ("GET /open-apis/new/v1/a.b", "GET", "/open-apis/new/v1/aXb", False),
        ("GET /open-apis/new/.-/*", "GET", "/open-apis/new/v1/x", False),
    ],
)
def test_words_hold_calls(granted: str, method: str, path: str, holds: bool) -> None:
    assert held(granted, method, path) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "POST",
        "/open-apis/im/v1/messages",
        "post /open-apis/im/v1/messages",
        "HEAD /open-apis/im/v1/messages",
        "POST /im/v1/messages",
        "POST /open-apis/im//messages",
        "POST /open-apis/im/../auth",
        "POST /open-apis/im/%2e%2e",
        "POST /open-apis/im/(.*)",
        "POST /open-apis/im*",
        "POST /open-apis/*/messages",
        "POST /open-apis/im/:id/*",
        "POST /open-apis/im/v1/messages\n",
        "POST /open-apis/im?x=1",
        "**",
    ],
)
def test_what_names_no_api_is_refused_with_an_example(text: str) -> None:
    if text.endswith("\n"):
        assert str(read_apis(text)) == text.strip(), "space around it is no part of it"
        return
    with pytest.raises(RegistryError, match="write it as 'POST /open-apis/im/v1/messages'"):
        read_apis(text)


@pytest.mark.parametrize("text", ["*", "GET /open-apis/im/*", "* /open-apis/a", "PUT /open-apis/a"])
def test_what_is_read_is_written_alike(text: str) -> None:
    assert str(read_apis(text)) == text
    assert read_apis(str(read_apis(text))) == read_apis(text)


def test_an_api_is_put_in_the_words_of_the_documentation() -> None:
    documented, known = as_documented(read_apis("GET /open-apis/im/v1/chats/:x"), CATALOGUE)
    assert (str(documented), known) == ("GET /open-apis/im/v1/chats/:chat_id", True)
    new, known = as_documented(read_apis("GET /open-apis/new/v1/x"), CATALOGUE)
    assert (str(new), known) == ("GET /open-apis/new/v1/x", False)


def test_one_resource_of_an_api_is_refused_since_it_would_hold_no_call() -> None:
    with pytest.raises(RegistryError, match=r"whole APIs"):
        as_documented(read_apis("GET /open-apis/im/v1/chats/oc_1"), CATALOGUE)


@pytest.mark.parametrize("name", ["", "-p", " a", "a ", "a\nb", "a\0", "x" * 256, "文" * 86])
def test_a_name_that_no_command_line_holds_is_no_producer(name: str) -> None:
    with pytest.raises(RegistryError):
        check_producer(name)


@pytest.mark.parametrize("name", ["billing", "a b", "x" * 255, "文" * 85, ".*", "a'b"])
def test_other_names_are(name: str) -> None:
    check_producer(name)
