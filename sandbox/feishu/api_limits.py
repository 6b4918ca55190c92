"""Feishu's rate limits per app, tenant and API, and the monthly quota."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from schemas.apis import Api, Window

from . import documented
from .answers import Answer, failure
from .limits import Bucket, Rejection, WindowModel
from .series import Series


class Limits:
    """All buckets of APIs.

    `overrides` replaces the documented windows by API name, `statuses` and `codes` the documented
    HTTP status and code of a rejection. `watch` is the lengths of windows, in seconds, whose most
    is told besides those of the limits.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        model: WindowModel = WindowModel.SLIDING,
        overrides: Mapping[str, tuple[Window, ...]] | None = None,
        statuses: Mapping[str, int] | None = None,
    ) -> None:
        self.enabled = enabled
        self.model = model
        self.overrides = dict(overrides or {})
        self.statuses = dict(statuses or {})
        self.codes: dict[str, int] = {}
        self.watch: tuple[float, ...] = (1, 60)
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def admit(self, app_id: str, api: Api, now: float, tenant: str = "") -> Rejection | None:
        """Count a request, or refuse it uncounted."""
        key = (app_id, tenant, api.name)
        bucket = self._buckets.get(key)
        if bucket is None:
            windows = self.overrides.get(api.name)
            windows = documented.windows(api) if windows is None else windows
            bucket = Bucket(windows, self.model, watch=self.watch, series=Series())
            self._buckets[key] = bucket
        return bucket.admit(now, enforce=self.enabled)

    def answer(self, api: Api, rejection: Rejection) -> Answer:
        """What a rejected caller hears."""
        status = self.statuses.get(api.name) or documented.status(api)
        code = self.codes.get(api.name) or documented.code(api)
        return documented.refusal(status, code, rejection.limit, rejection.reset)

    def override(self, name: str, windows: tuple[Window, ...] | None) -> None:
        """Set an API's windows (none: unlimited; None: as documented) and begin its counts anew."""
        if windows is None:
            self.overrides.pop(name, None)
        else:
            self.overrides[name] = windows
        for key in [key for key in self._buckets if key[2] == name]:
            del self._buckets[key]

    def watch_windows(self, lengths: tuple[float, ...]) -> None:
        """Tell the most in windows of these lengths from now on."""
        self.watch = lengths
        for bucket in self._buckets.values():
            bucket.watch(lengths)

    def clear(self) -> None:
        """Forget what was counted; configuration stays."""
        self._buckets.clear()

    def clear_statistics(self) -> None:
        """Forget what is told, not what fills the windows."""
        for bucket in self._buckets.values():
            bucket.begin_anew()

    def statistics(self, *, series: bool = False) -> list[dict[str, Any]]:
        """Per app, tenant and API: accepted, rejected, the most in any window, and the series."""
        return [
            {"app_id": app_id}
            | ({"tenant": tenant} if tenant else {})
            | {"api": name}
            | bucket.statistics()
            | (_series(bucket.series) if series and bucket.series else {})
            for (app_id, tenant, name), bucket in self._buckets.items()
        ]


def _series(series: Series) -> dict[str, Any]:
    return {"per_second": series.rows(), "per_minute": series.rows(60)}


class Quota:
    """Calls a month of each app, for each of its tenants; `limit` None is any number.

    A month never ends here.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self._used: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()

    def refusal(self, account: str, path: str) -> Answer | None:
        """Why a call is not taken, None where it may be; HTTP 429 as seen live."""
        if self.limit is None or self._used[account] < self.limit:
            return None
        if not documented.counts_to_quota(path):
            return None
        self._rejected[account] += 1
        return failure(429, 99991403, "This month's API call quota has been exceeded.")

    def count(self, account: str, path: str) -> None:
        """Say that a call was taken."""
        if documented.counts_to_quota(path):
            self._used[account] += 1

    def clear(self) -> None:
        """Begin a new month."""
        self._used.clear()
        self._rejected.clear()

    def statistics(self) -> dict[str, Any]:
        apps = {
            account: {"used": self._used[account], "rejected": self._rejected[account]}
            for account in self._used | self._rejected
        }
        return {"limit": self.limit, "apps": apps}
