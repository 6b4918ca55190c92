"""Which source a credential is sent to, by the kind of its app and of its holder."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from gateway.apps import App, AppKind
from gateway.errors import Refused
from gateway.tokens.sources import Issued, Sources
from gateway.tokens.token import APP, TENANT, Credential, Holder, Token
from schemas.reply import ErrorType

BUILT = App("default", "cli_1", SecretStr("s"), "https://open.feishu.cn")
STORE = App("shop", "cli_2", SecretStr("s"), "https://open.feishu.cn", AppKind.STORE)
USER = Holder("user", "u")


class Named:
    """A source that gives out its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def issue(self, credential: Credential, than: Token | None) -> Issued:
        return Issued(self._name, 7200)


@pytest.mark.parametrize(
    ("app", "holder", "source"),
    [
        (BUILT, TENANT, "self-built"),
        (BUILT, APP, "self-built"),
        (BUILT, USER, "users"),
        (STORE, Holder("tenant", "t"), "store"),
        (STORE, APP, "store"),
        (STORE, USER, "users"),
    ],
)
async def test_every_credential_goes_to_the_source_of_its_kind(
    app: App, holder: Holder, source: str
) -> None:
    sources = Sources(Named("self-built"), Named("store"), Named("users"))
    assert (await sources.issue(Credential.of(app, holder), None)).token == source


@pytest.mark.parametrize(
    ("app", "holder", "type_"),
    [
        (BUILT, USER, ErrorType.REAUTH_REQUIRED),
        (STORE, USER, ErrorType.REAUTH_REQUIRED),
        (STORE, APP, ErrorType.INVALID_CALL),
        (STORE, Holder("tenant", "t"), ErrorType.INVALID_CALL),
    ],
)
async def test_what_there_is_no_source_for_is_refused(
    app: App, holder: Holder, type_: ErrorType
) -> None:
    with pytest.raises(Refused, match="as:") as refused:
        await Sources(Named("self-built")).issue(Credential.of(app, holder), None)
    assert refused.value.type is type_
