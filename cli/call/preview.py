"""The HTTP request that a call would become, and the rules that would hold for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from gateway.apps import App, AppKind
from gateway.catalogue import ApiClass, Catalogue, derive_key
from gateway.dimensions import Dimensions
from gateway.jobs import Job, prepare
from gateway.site_limits import SiteLimits
from schemas.apis import ApiTable
from schemas.call import Call, TenantKey

CLASSES: Final = {
    ApiClass.READS: "R: it reads, so it may be repeated",
    ApiClass.REPEATABLE: "I: repeating it changes nothing more",
    ApiClass.KEYED: "K: Feishu itself discards repeats by the idempotency key",
    ApiClass.NEITHER: "N: it is not repeated once it may have reached Feishu",
}
REDACTED: Final = "Bearer <redacted>"


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent, for people and for programs; `key` is place and value."""

    job: Job
    key: tuple[str, str] | None
    headers: dict[str, str]
    limits_from: str

    def as_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can carry."""
        request = self.job.request
        files = [
            {"field": part.field, "filename": part.filename, "content_type": part.content_type}
            | {"bytes": len(part.content())}
            for part in request.files
        ]
        return {
            "call_id": self.job.call_id,
            "method": request.method,
            "url": str(request.url),
            "headers": self.headers,
            "body": None if request.content is None else request.content.decode(),
            "form": dict(request.form),
            "files": files,
            "api": self.job.route.name,
            "class": self.job.klass.value,
            "idempotency_key": None if self.key is None else dict([self.key]),
            "limits": [str(window) for window in self.job.buckets[0].windows],
            "limits_from": self.limits_from,
        }


def preview_of(call: Call, *, alias: str, call_id: str, domain: str, limits: SiteLimits) -> Preview:
    """Work it out; contacts nothing and needs no app. Raises Refused and LimitsError."""
    catalogue = Catalogue(ApiTable.load(), limits)
    # Whose token it is shows in no byte of the request, and only a gateway knows the app's kind.
    kind = AppKind.STORE if isinstance(call.as_, TenantKey) else AppKind.SELF_BUILT
    job = prepare(
        App(alias, "", SecretStr(""), domain, kind),
        call,
        Dimensions(catalogue),
        call_id=call_id,
        id_given=True,
        deadline=0.0,
    )
    headers = {} if job.holder is None else {"Authorization": REDACTED}
    if job.request.multipart:
        headers["Content-Type"] = "multipart/form-data; boundary=<chosen when it is sent>"
    return Preview(
        job=job,
        key=_key(job, call, alias),
        headers=headers | dict(job.request.headers),
        limits_from=catalogue.limits_of(alias, job.route)[1],
    )


def _key(job: Job, call: Call, alias: str) -> tuple[str, str] | None:
    place = job.route.idempotency_key
    if job.klass is not ApiClass.KEYED or place is None:
        return None
    fields = call.query if place.place == "query" else call.body
    given = fields.get(place.field) if isinstance(fields, dict) else None
    derived = given in (None, "", [])
    value = derive_key(alias, job.call_id) if derived else str(given)
    return f"{place.place}.{place.field}", value
