"""What a run is worth in figures, and in one line."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median
from typing import Any, Final

from tests.chaos.calls import Call
from tests.chaos.findings import Case, Finding, Invariant
from tests.chaos.invariants.executions import may_have_acted
from tests.chaos.invariants.fleet import counted, overshoots, recoveries
from tests.chaos.ledger import Book, Record, Story

_LIBRARIES: Final = ("lark-service", "aio-pika", "aiormq", "aiohttp", "redis", "asyncpg")
_TOLD: Final = 50
_KILLS: Final = ("kill",)


def report(record: Record, findings: Sequence[Finding], about: dict[str, Any]) -> dict[str, Any]:
    """All figures of a run; `about` says what was run."""
    case = Case.of(record)
    stories = {key: story for key, story in case.stories.items() if story.attempts}
    struck = Counter(line["fault"] for line in record[Book.FAULTS] if line["kind"] == "began")
    return {
        **about,
        "versions": {name: version(name) for name in _LIBRARIES}
        | {"python": platform.python_version()},
        "calls": {
            "attempted": len(stories),
            "confirmed": sum(bool(story.confirmed) for story in stories.values()),
            "by_class": dict(Counter(Call.parse(key).klass for key in stories)),
            "ends": dict(Counter(_end(story) for story in stories.values()).most_common()),
            "asked_again": sum(_asked_again(story) for story in stories.values()),
        },
        "faults": dict(struck.most_common()),
        "kills": sum(struck[name] for name in _KILLS),
        "other_faults": sum(struck.values()) - sum(struck[name] for name in _KILLS),
        "gateway_processes": sum(line["kind"] == "started" for line in record[Book.PROCESSES]),
        "unknown_outcomes": sum(_is_unknown(story) for story in stories.values()),
        "duplicates": _duplicates(stories.values()),
        "overshoot": _worst(overshoots(case)),
        "recovery": _recovery(recoveries(case)),
        "rest": [
            {name: line[name] for name in ("fds", "rss_mb", "redis_keys")}
            for line in record[Book.REST]
        ],
        "invariants": counted(findings),
        "findings": [str(finding) for finding in findings[:_TOLD]],
    }


def verdict(figures: dict[str, Any]) -> str:
    """The run in one line."""
    invariants = figures["invariants"]
    broken = sum(invariants.values())
    return (
        f"{'broken' if broken else 'held'}: {figures['calls']['confirmed']} calls confirmed, "
        f"{figures['kills']} kills, {figures['other_faults']} other faults, "
        f"{invariants[Invariant.LOST]} lost, {invariants[Invariant.N_TWICE]} N sent twice, "
        f"{figures['unknown_outcomes']} unknown, {broken} findings, seed {figures['seed']}"
    )


def _end(story: Story) -> str:
    """How it ended for its producer, first of all."""
    for line in sorted(story.replies, key=lambda line: float(line["at"])):
        error = line["body"]["error"]
        return "ok" if error is None else str(error["type"])
    if story.letters:
        return f"dead: {story.letters[0]['reason']}"
    if not story.confirmed:
        return "not confirmed"
    return "done without reply"


def _asked_again(story: Story) -> bool:
    return len({line["address"] for line in story.attempts}) > 1


def _is_unknown(story: Story) -> bool:
    said = {line["reason"] for line in story.letters}
    said |= {(line["body"]["error"] or {}).get("type") for line in story.replies}
    return "outcome_unknown" in said


def _duplicates(stories: Any) -> dict[str, int]:
    """More than one of each, for calls that were published once."""
    found = Counter(replies=0, executions=0, letters=0, answered_anew=0)
    for story in stories:
        if len(story.attempts) > 1:
            continue
        acted = sum(map(may_have_acted, story.requests))
        found["executions"] += max(0, acted - 1)
        found["replies"] += max(0, len(story.replies) - 1)
        found["answered_anew"] += max(0, len(_log_ids(story)) - 1)
        found["letters"] += max(0, len(story.letters) - 1)
    return dict(found)


def _log_ids(story: Story) -> set[str]:
    """Of the answers of a K call: where there are more, its record was not found."""
    bodies = [line["body"] for line in story.replies if line["body"]["ok"]]
    if Call.parse(story.attempts[0]["id"]).klass != "K":
        return set()
    return {str(body["response"]["headers"].get("x-tt-logid")) for body in bodies}


def _worst(ratios: dict[str, float]) -> dict[str, Any]:
    if not ratios:
        return {}
    name = max(ratios, key=lambda each: ratios[each])
    return {"worst": name, "share_of_limit": round(ratios[name], 3)}


def _recovery(found: Sequence[tuple[str, float]]) -> dict[str, Any]:
    if not found:
        return {}
    slowest = max(found, key=lambda each: each[1])
    return {
        "measured": len(found),
        "p50_s": round(median(seconds for _, seconds in found), 2),
        "max_s": round(slowest[1], 2),
        "slowest": slowest[0],
    }
