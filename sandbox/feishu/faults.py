"""What can go wrong with a request, and faults scripted over the control endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from .answers import JSON, Answer, failure
from .request import ApiRequest


class Wire(StrEnum):
    """What happens to the answer on its way."""

    PLAIN = "plain"
    CUT = "cut"
    TRUNCATED = "truncated"
    HUGE = "huge"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    Without `acts` the API does nothing; `answer` None is the API's own answer. `delay` is in
    seconds, before the answer. `revokes` makes the presented token invalid for good.
    """

    answer: Answer | None = None
    acts: bool = False
    delay: float = 0.0
    wire: Wire = Wire.PLAIN
    revokes: bool = False


NO_FAULT = Fault(acts=True)


@dataclass(slots=True)
class Rule:
    """A scripted fault for the next `count` requests that match, after `skip` of them."""

    fault: Fault
    method: str = ""
    template: str = ""
    app_id: str = ""
    count: int = 1
    skip: int = 0
    hits: int = field(default=0, init=False)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Read a rule as the control endpoint takes it.

        Raises ValueError or TypeError with a sentence that names the field.
        """
        _check(fields)
        status, code = fields.get("status"), fields.get("code")
        cut = fields.get("cut")
        wire = Wire(fields.get("wire", "cut" if cut else "plain"))
        answer = None
        if status is not None or code is not None:
            answer = _scripted_answer(fields)
        elif "body" in fields:
            raise ValueError("a body needs a status or a code")
        acts_by_default = answer is None and cut != "before"
        fault = Fault(
            answer=answer,
            acts=bool(fields.get("acts", acts_by_default)),
            delay=float(fields.get("delay_ms", 0)) / 1000,
            wire=wire,
        )
        return cls(
            fault,
            method=str(fields.get("method", "")).upper(),
            template=str(fields.get("template", "")),
            app_id=str(fields.get("app_id", "")),
            count=int(fields.get("count", 1)),
            skip=int(fields.get("skip", 0)),
        )

    def matches(self, request: ApiRequest) -> bool:
        return (
            self.method in ("", request.method)
            and self.template in ("", request.api.template)
            and self.app_id in ("", request.app_id)
        )


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "method": str,
    "template": str,
    "app_id": str,
    "count": int,
    "skip": int,
    "status": int,
    "code": int,
    "msg": str,
    "body": str,
    "content_type": str,
    "headers": dict,
    "delay_ms": (int, float),
    "cut": str,
    "wire": str,
    "acts": bool,
}


def _check(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in _TYPES:
            raise ValueError(f"unknown field {name!r}; a fault has {', '.join(_TYPES)}")
        if not isinstance(value, _TYPES[name]):
            raise TypeError(f"field {name!r} has the wrong type")
    if fields.get("cut", "after") not in ("before", "after"):
        raise ValueError("field 'cut' is 'before' or 'after' (the API acts)")


def _scripted_answer(fields: Mapping[str, Any]) -> Answer:
    headers = {str(name): str(value) for name, value in fields.get("headers", {}).items()}
    status = fields.get("status", 200)
    if "body" in fields:
        content_type = fields.get("content_type", JSON)
        return Answer(fields["body"].encode(), status, content_type, headers)
    code = fields.get("code", 0 if status < 300 else 2200)
    return failure(status, code, fields.get("msg", "scripted fault"), headers=headers)


class Script:
    """Scripted faults in order; the first that matches a request is used up by it."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def next(self, request: ApiRequest) -> Fault | None:
        """The fault meant for this request."""
        for rule in self.rules:
            if not rule.matches(request):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            rule.hits += 1
            if rule.hits >= rule.count:
                self.rules.remove(rule)
            return rule.fault
        return None
