"""I7 and I9 to I13: limits, tokens, secrets, what remains, trouble, recovery."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.chaos.calls import LIMITS
from tests.chaos.findings import Case, Finding, Invariant
from tests.chaos.ledger import Book, Line

OVERSHOOT: Final = 1.05
RECOVERY_SECONDS: Final = 35.0
_SETTLING_SECONDS: Final = 3.0
"""After requests were held back they arrive together, whenever they were sent."""
_TOKEN_REQUESTS_A_SECOND: Final = 50
_FDS: Final = 150
_GOODPUT: Final = 0.9

Interval = tuple[float, float]


def limits(case: Case) -> Iterator[Finding]:
    """I7: more in any window than the limit and a twentieth."""
    for name, ratio in overshoots(case).items():
        if ratio > OVERSHOOT:
            yield Finding(Invariant.LIMIT, name, f"{ratio:.2f} times its limit in one window")


def overshoots(case: Case) -> dict[str, float]:
    """The fullest window of each app and API, as a share of its limit."""
    disturbed = _intervals(case.record[Book.FAULTS])
    times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for line in case.record[Book.REQUESTS]:
        api = f"{line['method']} {line['template']}"
        if api in LIMITS:
            times[line["app_id"], api].append(line["time"])
    found = {}
    for (app_id, api), moments in times.items():
        limit, seconds = map(int, LIMITS[api].split("/"))
        fullest = _fullest(sorted(moments), seconds, disturbed)
        found[f"{app_id} {api}"] = fullest / limit
    return found


def refreshes(case: Case) -> Iterator[Finding]:
    """I9: the token endpoint's own limit, and grants that were spent twice or at once."""
    seconds: Counter[int] = Counter()
    for line in case.record[Book.REQUESTS]:
        if "/auth/v3/" in line["template"]:
            seconds[int(line["time"])] += 1
    for second, count in seconds.items():
        if count > _TOKEN_REQUESTS_A_SECOND:
            yield Finding(Invariant.REFRESH, str(second), f"{count} token requests in a second")
    for line in case.record[Book.REST]:
        for name in ("spent_used", "concurrent"):
            if line["oauth"].get(name):
                yield Finding(Invariant.REFRESH, name, f"{line['oauth'][name]} refreshes")


def secrets(case: Case) -> Iterator[Finding]:
    """I10: nothing secret was seen anywhere."""
    return _sightings(case, "secret", Invariant.SECRET)


def remains(case: Case) -> Iterator[Finding]:
    """I11: nothing is left in the queues, and no process keeps what it opened."""
    for line in case.record[Book.REST]:
        for queue, count in line["queues"].items():
            if count:
                yield Finding(Invariant.REMAINS, queue, f"{count} messages after the drain")
        for process, count in line["fds"].items():
            if count > _FDS:
                yield Finding(Invariant.REMAINS, process, f"{count} open files")


def trouble(case: Case) -> Iterator[Finding]:
    """I12: no traceback in a log, and no process ends that was not made to."""
    yield from _sightings(case, "trouble", Invariant.TROUBLE)
    for line in case.record[Book.PROCESSES]:
        if line["kind"] == "ended" and not line["asked"]:
            what = f"process {line['pid']} ended by itself with code {line['code']}"
            yield Finding(Invariant.TROUBLE, str(line["slot"]), what)


def recovery(case: Case) -> Iterator[Finding]:
    """I13: after every fault as many calls succeed as before, soon."""
    for fault, seconds in recoveries(case):
        if seconds > RECOVERY_SECONDS:
            yield Finding(Invariant.RECOVERY, fault, f"{seconds:.0f} s to 90 % of the usual rate")


def recoveries(case: Case) -> list[tuple[str, float]]:
    """By fault: seconds from its end until calls succeed at 90 % of the usual rate of a second.

    Faults that another one overlapped or followed at once are left out: theirs is not known.
    """
    moments = sorted(
        line["time"]
        for line in case.record[Book.REQUESTS]
        if line["status"] == 200 and line["code"] == 0
    )
    attempts = [line["at"] for line in case.record[Book.CALLS] if line["kind"] == "attempted"]
    if not moments or not attempts:
        return []
    counts = Counter(map(int, moments))
    usual = sorted(counts.values())[len(counts) // 2]
    began = sorted(line["at"] for line in case.record[Book.FAULTS] if line["kind"] == "began")
    found = []
    for line in case.record[Book.FAULTS]:
        if line["kind"] != "ended":
            continue
        after = bisect_right(began, line["at"])
        until = min(began[after] if after < len(began) else max(attempts), max(attempts))
        end = _recovered(moments, line["at"], until, usual * _GOODPUT)
        if end is not None:
            found.append((str(line["fault"]), end - line["at"]))
    return found


def _recovered(moments: Sequence[float], start: float, until: float, enough: float) -> float | None:
    moment = start
    while moment + 1 <= until:
        count = bisect_left(moments, moment + 1) - bisect_left(moments, moment)
        if count >= enough:
            return moment
        moment += 0.25
    return until if until - start > RECOVERY_SECONDS else None


def _sightings(case: Case, kind: str, invariant: Invariant) -> Iterator[Finding]:
    for line in case.record[Book.SIGHTINGS]:
        if line["kind"] == kind:
            yield Finding(invariant, str(line["where"]), str(line["what"]))


def _intervals(faults: Sequence[Line]) -> list[Interval]:
    """When requests could be kept back on their way, so that their arrival says nothing."""
    open_: dict[tuple[str, str], float] = {}
    found = []
    for line in faults:
        if not line.get("bunches"):
            continue
        key = (line["fault"], line["target"])
        if line["kind"] == "began":
            open_[key] = line["at"]
        elif key in open_:
            found.append((open_.pop(key), line["at"] + _SETTLING_SECONDS))
    return found + [(began, float("inf")) for began in open_.values()]


def _fullest(moments: Sequence[float], seconds: int, disturbed: Sequence[Interval]) -> int:
    fullest = 0
    for first, moment in enumerate(moments):
        end = moment + seconds
        if any(moment < until and end > since for since, until in disturbed):
            continue
        fullest = max(fullest, bisect_left(moments, end) - first)
    return fullest


def counted(findings: Sequence[Finding]) -> Mapping[str, int]:
    """How often each promise was broken, with those that were not."""
    broken = Counter(finding.invariant for finding in findings)
    return {str(invariant): broken[invariant] for invariant in Invariant}
