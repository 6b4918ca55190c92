"""Buckets in plain words, for `lark-service limits explain`."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest

from cli.limits.explain import explanation_of
from cli.limits.words import BULK_LONG, BULK_SHORT, SHORT, TIERS, BucketWords, WindowWords
from gateway.catalogue import DOCUMENTED, Catalogue
from gateway.site_limits import AppLimits, SiteLimits
from schemas.apis import ApiTable, Window
from schemas.call import Call
from tests.support.builders import APP

CATALOGUE = Catalogue(ApiTable.load())


def explained(
    method: str, path: str, by: Catalogue = CATALOGUE, **fields: Any
) -> tuple[BucketWords, ...]:
    call = Call.model_validate({"method": method, "path": f"/open-apis/{path}", **fields})
    return explanation_of(call, APP, by).buckets


@pytest.mark.parametrize(
    ("method", "path", "of", "shared_by"),
    [
        (
            "POST",
            "bitable/v1/apps/b/tables/t/records",
            "writes to table t of base b",
            "all apps together",
        ),
        ("PUT", "bitable/v1/apps/b", "writes to base b as a whole", "all apps together"),
        ("PATCH", "im/v1/messages/om_1", "changes of message om_1", "all apps together"),
        ("PUT", "cardkit/v1/cards/c", "changes of card c", "app default alone"),
        ("PATCH", "docx/v1/documents/d/blocks/b", "changes of document d", "all apps together"),
        (
            "POST",
            "drive/v1/files/f/copy",
            "uploads, new folders, copies, moves and deletions in drive",
            "app default alone",
        ),
        (
            "POST",
            "document_ai/v1/resume/parse",
            "calls of this API",
            "all apps of the tenant together",
        ),
    ],
)
def test_a_bucket_says_what_it_is_of_and_who_shares_it(
    method: str, path: str, of: str, shared_by: str
) -> None:
    api, bucket = explained(method, path)
    assert (api.kind, api.of, api.shared_by) == ("api", "calls of this API", "app default alone")
    assert (bucket.of, bucket.shared_by) == (of, shared_by)


def test_a_cap_of_the_whole_app_is_named() -> None:
    site = SiteLimits(apps={"default": AppLimits((Window(1000, 60),))})
    _, total = explained("GET", "im/v1/chats", Catalogue(ApiTable.load(), site))
    assert (total.kind, total.of) == ("app", "all calls")
    assert total.source == "LARK_SERVICE_LIMITS_FILE, [apps.default] total"


def test_every_documented_window_belongs_to_a_tier_or_to_a_page() -> None:
    texts = {
        ";".join(map(str, route.windows)) for route in CATALOGUE if route.limits_from == DOCUMENTED
    }
    assert TIERS.keys() <= texts
    (api,) = explained("GET", "im/v1/chats")
    assert api.source == "Feishu's documentation, tier 4"


def test_the_share_of_bulk_is_the_one_that_the_limiter_grants() -> None:
    script = files("gateway.limits").joinpath("acquire.lua").read_text(encoding="utf-8")
    assert re.search(r"^local SHORT = (\d+)000000 ", script, re.MULTILINE)[1] == str(SHORT)  # type: ignore[index]
    assert f"<= SHORT and {BULK_SHORT} or {BULK_LONG}" in script
    shares = [WindowWords(limit, seconds, 0).bulk for limit, seconds in ((5, 1), (1, 5), (10, 6))]
    assert shares == [4, 1, 9]
