"""Records of bitable tables; a table exists as soon as it is used."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from .answers import Answer, failure, success
from .repeats import Behaviour
from .request import ApiRequest

_RECORDS = "/open-apis/bitable/v1/apps/:app_token/tables/:table_id/records"
_UUID4 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)
_BATCH = 1000
_PAGE = 500

Table = dict[str, dict[str, Any]]


class Bitable:
    """Tables by (app_token, table_id), records in the order of their creation."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], Table] = {}

    def behaviours(self) -> Mapping[str, Behaviour]:
        return {
            f"POST {_RECORDS}": self.create,
            f"POST {_RECORDS}/batch_create": self.batch_create,
            f"GET {_RECORDS}": self.list_records,
            f"POST {_RECORDS}/search": self.search,
            f"GET {_RECORDS}/:record_id": self.get,
            f"PUT {_RECORDS}/:record_id": self.update,
            f"DELETE {_RECORDS}/:record_id": self.delete,
        }

    def create(self, request: ApiRequest) -> Answer:
        fields = _fields(request.json)
        if fields is None:
            return _wrong_body()
        return _wrong_token(request) or success({"record": _add(self._table(request), fields)})

    def batch_create(self, request: ApiRequest) -> Answer:
        rows = (request.json or {}).get("records")
        if not isinstance(rows, list) or not rows:
            return _wrong_body()
        if len(rows) > _BATCH:
            return failure(400, 1254104, f"RecordAddOnceExceedLimit: {len(rows)}")
        all_fields = [fields for row in rows if (fields := _fields(row)) is not None]
        if len(all_fields) < len(rows):
            return _wrong_body()
        if refusal := _wrong_token(request):
            return refusal
        table = self._table(request)
        return success({"records": [_add(table, fields) for fields in all_fields]})

    def list_records(self, request: ApiRequest) -> Answer:
        return _page(list(self._table(request).values()), request)

    def search(self, request: ApiRequest) -> Answer:
        """Only the conditions `is` and `contains` are understood."""
        condition = ((request.json or {}).get("filter") or {}).get("conditions", [])
        records = [r for r in self._table(request).values() if _fits(r["fields"], condition)]
        return _page(records, request)

    def get(self, request: ApiRequest) -> Answer:
        record = self._table(request).get(request.param("record_id"))
        return success({"record": record}) if record else _unknown_record()

    def update(self, request: ApiRequest) -> Answer:
        fields = _fields(request.json)
        if fields is None:
            return _wrong_body()
        record = self._table(request).get(request.param("record_id"))
        if record is None:
            return _unknown_record()
        record["fields"] |= fields
        return success({"record": record})

    def delete(self, request: ApiRequest) -> Answer:
        record_id = request.param("record_id")
        if self._table(request).pop(record_id, None) is None:
            return _unknown_record()
        return success({"deleted": True, "record_id": record_id})

    def clear(self) -> None:
        self._tables.clear()

    def _table(self, request: ApiRequest) -> Table:
        key = (request.param("app_token"), request.param("table_id"))
        return self._tables.setdefault(key, {})


def _add(table: Table, fields: dict[str, Any]) -> dict[str, Any]:
    record_id = f"rec{secrets.token_hex(6)}"
    # The answer may be repeated later, so it must not change with the record.
    table[record_id] = {"record_id": record_id, "fields": dict(fields)}
    return {"record_id": record_id, "fields": fields}


def _fields(row: object) -> dict[str, Any] | None:
    fields = row.get("fields") if isinstance(row, dict) else None
    return fields if isinstance(fields, dict) else None


def _fits(fields: dict[str, Any], conditions: list[dict[str, Any]]) -> bool:
    for condition in conditions:
        have, want = fields.get(str(condition.get("field_name"))), condition.get("value") or [""]
        exact = condition.get("operator") == "is"
        if not (have == want[0] if exact else str(want[0]) in str(have)):
            return False
    return True


def _page(records: list[dict[str, Any]], request: ApiRequest) -> Answer:
    size, start = request.query("page_size", "20"), request.query("page_token", "0")
    if not size.isdecimal() or not 1 <= int(size) <= _PAGE or not start.isdecimal():
        return failure(400, 99992402, "field validation failed")
    end = int(start) + int(size)
    more = end < len(records)
    data: dict[str, Any] = {
        "items": records[int(start) : end],
        "total": len(records),
        "has_more": more,
    }
    return success(data | {"page_token": str(end)} if more else data)


def _wrong_token(request: ApiRequest) -> Answer | None:
    token = request.query("client_token")
    if token and not _UUID4.fullmatch(token):
        return failure(400, 1254037, "InvalidClientToken: client_token is a uuid4")
    return None


def _wrong_body() -> Answer:
    return failure(400, 1254001, "WrongRequestBody")


def _unknown_record() -> Answer:
    return failure(400, 1254043, "RecordIdNotFound")
