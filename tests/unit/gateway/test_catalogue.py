from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import CAUTIOUS, ApiClass, Catalogue, KeyPlace, Route
from gateway.site_limits import AppLimits, LimitsError, SiteLimits, read_app_limits
from schemas.apis import ApiTable, Window

TABLE = ApiTable.load()
CATALOGUE = Catalogue(TABLE)

segments = st.from_regex(r"[A-Za-z0-9_.:@=~%-]+", fullmatch=True)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])


def test_a_documented_api_has_its_template_limits_class_and_key() -> None:
    assert CATALOGUE.route("POST", "/open-apis/im/v1/messages/om_1/reply") == Route(
        name="POST /open-apis/im/v1/messages/:message_id/reply",
        method="POST",
        template="/open-apis/im/v1/messages/:message_id/reply",
        klass=ApiClass.KEYED,
        windows=(Window(1000, 60), Window(50, 1)),
        idempotency_key=KeyPlace("body", "uuid"),
        tokens=frozenset({"tenant", "user"}),
        known=True,
    )


@pytest.mark.parametrize(
    ("method", "path", "klass"),
    [
        ("GET", "/open-apis/im/v1/messages/om_1", "R"),
        ("POST", "/open-apis/bitable/v1/apps/a/tables/t/records/search", "R"),
        ("POST", "/open-apis/contact/v3/users/batch_get_id", "R"),
        ("POST", "/open-apis/search/v2/message", "R"),
        ("POST", "/open-apis/document_ai/v1/id_card/recognize", "R"),
        ("POST", "/open-apis/speech_to_text/v1/speech/stream_recognize", "N"),
        ("PUT", "/open-apis/im/v1/messages/om_1", "I"),
        ("PATCH", "/open-apis/im/v1/messages/om_1", "I"),
        ("DELETE", "/open-apis/im/v1/messages/om_1", "I"),
        ("POST", "/open-apis/im/v1/messages", "K"),
        ("POST", "/open-apis/im/v1/chats", "K"),
        ("POST", "/open-apis/bitable/v1/apps/a/tables/t/records", "K"),
        ("POST", "/open-apis/calendar/v4/calendars/c/events", "K"),
        ("POST", "/open-apis/approval/v4/instances", "K"),
        ("POST", "/open-apis/task/v2/tasks", "K"),
        ("PUT", "/open-apis/cardkit/v1/cards/c", "K"),
        ("DELETE", "/open-apis/docx/v1/documents/d/blocks/b/children/batch_delete", "K"),
        ("POST", "/open-apis/docx/v1/documents", "N"),
        ("POST", "/open-apis/im/v1/images", "N"),
        ("POST", "/open-apis/message/v4/batch_send", "N"),
        ("GET", "/open-apis/new/v1/things", "R"),
        ("PUT", "/open-apis/new/v1/things/1", "I"),
        ("PATCH", "/open-apis/new/v1/things/1", "I"),
        ("DELETE", "/open-apis/new/v1/things/1", "I"),
        ("POST", "/open-apis/new/v1/things/search", "N"),
    ],
)
def test_every_api_belongs_to_the_class_that_its_repetition_deserves(
    method: str, path: str, klass: str
) -> None:
    assert CATALOGUE.route(method, path).klass == klass


def test_a_class_is_keyed_exactly_where_the_documentation_gives_a_key() -> None:
    routes = {route.name: route for route in CATALOGUE}
    assert {name for name, route in routes.items() if route.klass is ApiClass.KEYED} == {
        api.name for api in TABLE if api.idempotency_key
    }
    for api in TABLE:
        key = routes[api.name].idempotency_key
        assert (f"{key.place}.{key.field}" if key else None) == api.idempotency_key


def test_a_post_is_repeated_freely_only_where_it_is_marked_as_a_read() -> None:
    free = {route.name for route in CATALOGUE if route.method == "POST" and route.klass in "RI"}
    assert free == {api.name for api in TABLE if api.method == "POST" and api.reads}


def test_an_api_without_a_figure_gets_the_cautious_limit() -> None:
    special = CATALOGUE.route("GET", "/open-apis/contact/v3/departments/od_1")
    unstated = CATALOGUE.route("GET", "/open-apis/acs/v1/devices")
    unknown = CATALOGUE.route("GET", "/open-apis/new/v1/things")
    assert special.windows == unstated.windows == unknown.windows == CAUTIOUS
    assert (special.known, unstated.known, unknown.known) == (True, True, False)


def test_every_route_has_a_limit() -> None:
    assert all(route.windows for route in CATALOGUE)
    assert len(list(CATALOGUE)) == len(TABLE)


@given(method=methods, path=st.lists(segments, max_size=8))
def test_the_names_of_unknown_paths_are_few(method: str, path: list[str]) -> None:
    route = CATALOGUE.route(method, "/".join(["/open-apis", *path]))
    if route.known:
        assert route.name in {f"{api.method} {api.template}" for api in TABLE}
        return
    known = {"/".join(api.template.split("/")[:depth]) for api in TABLE for depth in (2, 3, 4)}
    assert route.name == f"{method} {route.template}"
    assert route.template.removesuffix("/*") in known
    assert route.idempotency_key is None


@given(
    service=st.sampled_from(["im/v1/new", "im/v9/new", "im", "none/v1/new", "IM/v1/messages"]),
    ids=st.lists(segments, min_size=2, max_size=2),
)
def test_another_id_never_gives_an_unknown_api_another_bucket(service: str, ids: list[str]) -> None:
    names = {CATALOGUE.route("PUT", f"/open-apis/{service}/x/{id_}/y/z").name for id_ in ids}
    assert len(names) == 1


def test_unknown_paths_of_one_service_share_a_name_and_those_of_others_do_not() -> None:
    paths = ["im/v1/new/om_1", "im/v1/new/om_2", "im/v9/new", "nobody/v1/new", "im"]
    names = [CATALOGUE.route("POST", f"/open-apis/{path}").name for path in paths]
    assert names == [
        "POST /open-apis/im/v1/*",
        "POST /open-apis/im/v1/*",
        "POST /open-apis/im/*",
        "POST /open-apis/*",
        "POST /open-apis/im/*",
    ]


def test_a_site_limit_replaces_the_documented_one_whatever_its_parameters_are_called() -> None:
    mine = (Window(2, 1),)
    catalogue = Catalogue(TABLE, SiteLimits({"POST /open-apis/im/v1/messages/:id/reply": mine}))
    route = catalogue.route("POST", "/open-apis/im/v1/messages/om_1/reply")
    before = CATALOGUE.route("POST", "/open-apis/im/v1/messages/om_1/reply")
    assert route.windows == mine
    assert route.name == before.name
    assert (route.klass, route.idempotency_key) == (before.klass, before.idempotency_key)
    assert catalogue.route("POST", "/open-apis/im/v1/messages").windows != mine
    assert catalogue.unlisted == ()


def test_a_site_limit_names_an_api_that_the_documentation_lacks() -> None:
    mine = (Window(2, 1),)
    catalogue = Catalogue(TABLE, SiteLimits({"POST /open-apis/new/v1/things/:id/open": mine}))
    route = catalogue.route("POST", "/open-apis/new/v1/things/7/open")
    assert route.name == "POST /open-apis/new/v1/things/:id/open"
    assert (route.windows, route.known, route.klass) == (mine, True, ApiClass.NEITHER)
    assert catalogue.unlisted == (route.name,)
    assert not catalogue.route("POST", "/open-apis/new/v1/other").known


def test_limits_that_cannot_be_used_are_named_all_at_once() -> None:
    limits = {
        "HEAD /open-apis/im/v1/messages": CAUTIOUS,
        "/open-apis/im/v1/messages": CAUTIOUS,
        "POST https://open.feishu.cn/open-apis/im/v1/messages": CAUTIOUS,
        "GET /open-apis/im/v1/chats/oc_1": CAUTIOUS,
        "GET /open-apis/im/v1/messages/:a": CAUTIOUS,
        "GET /open-apis/im/v1/messages/:b": CAUTIOUS,
        "GET /open-apis/new/v1/things/:a": CAUTIOUS,
        "GET /open-apis/new/v1/things/:b": CAUTIOUS,
    }
    with pytest.raises(LimitsError) as caught:
        Catalogue(TABLE, SiteLimits(limits, source="f"))
    lines = str(caught.value).split("\n")
    form = "write a method and a path, such as POST /open-apis/im/v1/messages"
    assert lines == [
        f"f: [limits] 'HEAD /open-apis/im/v1/messages': {form}",
        f"f: [limits] '/open-apis/im/v1/messages': {form}",
        f"f: [limits] 'POST https://open.feishu.cn/open-apis/im/v1/messages': {form}",
        "f: [limits] 'GET /open-apis/im/v1/chats/oc_1': is one resource of an API;"
        " write GET /open-apis/im/v1/chats/:chat_id",
        "f: [limits] 'GET /open-apis/im/v1/messages/:b': names GET"
        " /open-apis/im/v1/messages/:message_id for the second time",
        "f: [limits] 'GET /open-apis/new/v1/things/:b': names GET"
        " /open-apis/new/v1/things/:b for the second time",
    ]


def test_an_app_may_have_limits_of_its_own() -> None:
    api, new = "GET /open-apis/im/v1/chats", "POST /open-apis/new/v1/things/:id"
    mine, ours = (Window(2, 1),), (Window(7, 1),)
    shop, other = AppLimits(limits={api: mine, new: mine}), AppLimits(limits={f"{new}_": ours})
    catalogue = Catalogue(TABLE, SiteLimits({api: ours}, {"shop": shop, "other": other}))
    chats = catalogue.route("GET", "/open-apis/im/v1/chats")
    things = catalogue.route("POST", "/open-apis/new/v1/things/1")
    own = (mine, "LARK_SERVICE_LIMITS_FILE, [apps.shop.limits]")
    assert catalogue.limits_of("shop", chats) == catalogue.limits_of("shop", things) == own
    assert catalogue.limits_of("b", chats) == (ours, "LARK_SERVICE_LIMITS_FILE, [limits]")
    assert catalogue.limits_of("b", things)[0] == CAUTIOUS
    assert catalogue.limits_of("other", things)[0] == ours
    assert catalogue.unlisted == (new,)


def test_what_postgres_holds_breaks_nothing_that_the_file_says() -> None:
    item, whole = "GET /open-apis/new/v1/list", "GET /open-apis/new/v1/:id"
    file = {"shop": AppLimits(), "zoo": AppLimits(limits={item: (Window(3, 1),)})}
    stored = read_app_limits("shop", {"limits": {whole: "2/1"}})

    live = Catalogue(TABLE, SiteLimits(apps=file)).with_apps({"shop": stored})

    things, listed = (live.route("GET", f"/open-apis/new/v1/{name}") for name in ("7", "list"))
    assert live.limits_of("shop", things)[0] == (Window(2, 1),)
    assert live.limits_of("zoo", listed)[0] == (Window(3, 1),)


def test_wrong_limits_of_several_tables_are_named_together() -> None:
    wrong = {"HEAD /x": CAUTIOUS}
    with pytest.raises(LimitsError) as caught:
        Catalogue(TABLE, SiteLimits(wrong, {"shop": AppLimits(limits=wrong)}, source="f.toml"))
    starts = [line.split(": write")[0] for line in str(caught.value).split("\n")]
    assert starts == ["f.toml: [limits] 'HEAD /x'", "f.toml: [apps.shop.limits] 'HEAD /x'"]


def test_what_postgres_holds_for_an_app_takes_the_place_of_its_section_in_the_file() -> None:
    api, other = "GET /open-apis/im/v1/chats", "GET /open-apis/im/v1/messages"
    section = AppLimits((Window(9, 1),), {api: (Window(9, 1),), other: (Window(9, 1),)})
    file = Catalogue(TABLE, SiteLimits(apps={"shop": section, "sales": section}))
    stored = read_app_limits("shop", {"total": "3/1", "limits": {api: "2/1"}})

    live = file.with_apps({"shop": stored})

    chats, messages = (live.route("GET", name.split()[1]) for name in (api, other))
    assert live.limits_of("shop", chats) == (
        (Window(2, 1),),
        "lark-service app set-limits shop, [limits]",
    )
    assert live.limits_of("shop", messages) == (messages.windows, messages.limits_from)
    assert live.total_of("shop") == (
        (Window(3, 1),),
        "lark-service app set-limits shop, total",
    )
    assert live.total_of("sales") == file.total_of("sales")
    assert live.with_apps({"shop": section}).limits_of("shop", chats) == file.limits_of(
        "shop", chats
    )


def test_what_postgres_holds_for_one_app_and_cannot_be_used_harms_no_other() -> None:
    api = "GET /open-apis/im/v1/chats"
    wrong = read_app_limits("shop", {"total": "3/1", "limits": {"HEAD /x": "1/1"}})
    right = read_app_limits("sales", {"limits": {api: "2/1"}})

    live = CATALOGUE.with_apps({"shop": wrong, "sales": right})

    chats = live.route("GET", api.split()[1])
    assert live.limits_of("sales", chats)[0] == (Window(2, 1),)
    assert live.limits_of("shop", chats)[0] == chats.windows
    assert live.total_of("shop") == ((), "")
    assert live.left_out["shop"].startswith(
        "lark-service app set-limits shop: [apps.shop.limits] 'HEAD /x': write"
    )


@pytest.mark.parametrize(
    ("method", "path", "windows"),
    [
        ("POST", "docx/v1/documents", "3/1"),
        ("PATCH", "docx/v1/documents/d/blocks/b", "3/1"),
        ("GET", "docx/v1/documents/d", "5/1"),
        ("GET", "docx/v1/documents/d/blocks/b/children", "5/1"),
        ("GET", "drive/v1/files/f/download", "5/1;10000/86400"),
        ("GET", "drive/v1/medias/m/download", "5/1;10000/86400"),
        ("POST", "drive/v1/medias/upload_part", "5/1"),
        ("POST", "translation/v1/text/detect", "20/1"),
        ("POST", "document_ai/v1/id_card/recognize", "10/1"),
        ("GET", "contact/v3/departments/od_1", "5/1"),
    ],
)
def test_a_figure_that_only_an_apis_page_gives_holds(method: str, path: str, windows: str) -> None:
    route = CATALOGUE.route(method, f"/open-apis/{path}")
    assert ";".join(map(str, route.windows)) == windows
    assert ("cautious" in route.limits_from) is path.startswith("contact")
