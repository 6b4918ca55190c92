"""What must hold of a call whose gateway was killed at a step, as data, and the judge. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Klass(StrEnum):
    """The classes of APIs: reads, idempotent, keyed, and neither."""

    R = "R"
    I = "I"  # noqa: E741  the contract's own letter
    K = "K"
    N = "N"


class Step(StrEnum):
    """Where in a call's life its process is killed."""

    C0 = "C0"
    C1 = "C1"
    C2 = "C2"
    C3 = "C3"
    C4 = "C4"
    C5 = "C5"
    C6 = "C6"
    C7 = "C7"
    C8 = "C8"
    C9 = "C9"
    C10 = "C10"


MEANING: Mapping[Step, str] = {
    Step.C0: "delivered, not parsed",
    Step.C1: "before or at the permit in Redis",
    Step.C2: "during the refresh of a token",
    Step.C3: "marked as started, nothing at Feishu",
    Step.C4: "request half sent",
    Step.C5: "executed, answer not received",
    Step.C6: "answer received, not recorded",
    Step.C7: "recorded, reply not published",
    Step.C8: "reply confirmed, not acked",
    Step.C9: "dead letter confirmed, not acked",
    Step.C10: "delayed copy confirmed, not acked",
}

OK, UNKNOWN, REFUSED = "ok", "outcome_unknown", "feishu_error"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is asked of one call: executions at Feishu, and how it may end."""

    executions: tuple[int, int]
    ends: frozenset[str]
    why: str
    same: bool = False
    """Whether every reply must carry the same `response` and `error`, to the last byte of JSON."""


def _cell(least: int, most: int, *ends: str, why: str, same: bool = False) -> Cell:
    return Cell((least, most), frozenset(ends), why, same)


_UNSENT = _cell(1, 1, OK, why="no attempt began, so the redelivery makes the first")
_NO_RECORD = "R and I calls are not recorded: the redelivery makes the call again"
_RECORDED = "the record of the first end answers the redelivery"
_MOSTLY = f"{_RECORDED}, and where it was late Feishu discards the repeat by its key"
_REPEATED = "at least once: what may have been lost is done again"
_DOUBT = "it cannot be shown that the attempt did not reach Feishu"

_BEFORE = {
    **dict.fromkeys(Klass, _UNSENT),
    # Where there is a claim it tells that no attempt began, and the call is made after all.
    Klass.N: _cell(0, 1, OK, UNKNOWN, why="without a mark: a store may have forgotten the mark"),
}
_IN_DOUBT = {
    Klass.R: _cell(1, 2, OK, why=_REPEATED),
    Klass.I: _cell(1, 2, OK, why=_REPEATED),
    Klass.K: _cell(1, 2, OK, why=f"{_REPEATED}; Feishu discards the repeat by its key"),
    Klass.N: _cell(1, 1, UNKNOWN, why=_DOUBT),
}
_ENDED = {
    Klass.R: _cell(1, 2, OK, why=_NO_RECORD),
    Klass.I: _cell(1, 2, OK, why=_NO_RECORD),
    Klass.K: _cell(1, 2, OK, why=_MOSTLY, same=True),
    Klass.N: _cell(1, 1, OK, why=_RECORDED, same=True),
}

ORACLE: Mapping[Step, Mapping[Klass, Cell]] = {
    Step.C0: _BEFORE,
    Step.C1: _BEFORE,
    Step.C2: _BEFORE,
    Step.C3: {
        **dict.fromkeys(Klass, _cell(1, 1, OK, why="nothing arrived, so the repeat is the first")),
        Klass.N: _cell(0, 0, UNKNOWN, why=f"the mark stands, and {_DOUBT}"),
    },
    Step.C4: {
        **dict.fromkeys(Klass, _cell(1, 2, OK, why=f"{_REPEATED}; half a request may be acted on")),
        Klass.N: _cell(0, 1, UNKNOWN, why=_DOUBT),
    },
    Step.C5: _IN_DOUBT,
    Step.C6: _IN_DOUBT,
    Step.C7: _ENDED,
    Step.C8: _ENDED,
    Step.C9: {
        Klass.R: _cell(1, 2, REFUSED, why=_NO_RECORD),
        Klass.I: _cell(1, 2, REFUSED, why=_NO_RECORD),
        Klass.K: _cell(1, 2, REFUSED, why=_MOSTLY, same=True),
        Klass.N: _cell(1, 1, REFUSED, why=_RECORDED, same=True),
    },
    Step.C10: {
        Klass.R: _cell(1, 2, OK, why="both the copy and what is redelivered are made"),
        Klass.I: _cell(1, 2, OK, why="both the copy and what is redelivered are made"),
        Klass.K: _cell(1, 2, OK, why="both may be made: Feishu discards the repeat by its key"),
        Klass.N: _cell(
            0, 1, OK, UNKNOWN, why="at most one of both is made, and both are answered alike"
        ),
    },
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request for the call that arrived at Feishu; `refused` proves that nothing was done."""

    key: str
    refused: bool


@dataclass(slots=True)
class Observed:
    """Everything that was seen of one call, from outside."""

    call_id: str
    klass: Klass
    requests: Sequence[Request] = ()
    effects: int = 0
    """How often Feishu did it, for a K call."""
    replies: list[Mapping[str, Any]] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    """The error types of its dead letters."""
    told: bool = False
    """Whether a token or a secret stands in any of its replies and dead letters."""

    @property
    def executions(self) -> int:
        """Requests that may have been acted upon."""
        return sum(not request.refused for request in self.requests)

    @property
    def ends(self) -> list[str]:
        """How its replies and dead letters say that it ended."""
        said = [OK if reply["ok"] else str(reply["error"]["type"]) for reply in self.replies]
        return said + self.letters


class Broken(StrEnum):
    """A promise that was not kept, the gravest first."""

    LOST = "lost"
    N_TWICE = "n_executed_twice"
    K_TWICE = "k_took_effect_twice"
    TOLD = "secret_told"
    INVENTED = "ok_without_execution"
    CONFLICT = "conflicting_ends"
    DIFFERENT = "replies_differ"
    EXECUTIONS = "executions"
    END = "wrong_end"


def judge(seen: Observed, cell: Cell) -> list[Broken]:
    """Every promise that the call's end breaks."""
    least, most = cell.executions
    ends = set(seen.ends)
    keys = {request.key for request in seen.requests}
    broken = {
        Broken.LOST: not ends,
        Broken.N_TWICE: seen.klass is Klass.N and seen.executions > 1,
        Broken.K_TWICE: seen.klass is Klass.K and (seen.effects > 1 or len(keys) > 1),
        Broken.TOLD: seen.told,
        Broken.INVENTED: OK in ends and not seen.executions,
        Broken.CONFLICT: len(ends) > 1,
        Broken.DIFFERENT: cell.same and len(set(map(_content, seen.replies))) > 1,
        Broken.EXECUTIONS: not least <= seen.executions <= most,
        Broken.END: not ends <= cell.ends,
    }
    return [promise for promise, is_broken in broken.items() if is_broken]


def _content(reply: Mapping[str, Any]) -> str:
    said = {name: reply[name] for name in ("ok", "call_id", "response", "error")}
    return json.dumps(said, sort_keys=True)


@dataclass(slots=True)
class Tally:
    """What is counted of one cell: kills, and of the calls that were in hand at them."""

    kills: int = 0
    unparked: int = 0
    """Kills at which not every call stood at the step; they are judged and not counted as kills."""
    calls: int = 0
    unknown: int = 0
    second_executions: int = 0
    second_replies: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def add(self, seen: Iterable[Observed], cell: Cell, *, parked: bool) -> None:
        """Count one kill and the calls that it struck."""
        self.kills += parked
        self.unparked += not parked
        for each in seen:
            self.calls += 1
            self.unknown += UNKNOWN in each.ends
            self.second_executions += max(0, each.executions - 1)
            self.second_replies += max(0, len(each.replies) - 1)
            for promise in judge(each, cell):
                self.broken[promise] = self.broken.get(promise, 0) + 1
                if len(self.examples) < 5:
                    self.examples.append(
                        f"{each.call_id}: {promise}, {each.executions} executed, ends {each.ends}"
                    )
