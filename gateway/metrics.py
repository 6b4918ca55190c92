"""Every metric, declared once, with what it counts. Labels are closed sets, never ids or paths."""

from __future__ import annotations

import sys
from functools import cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


M = TypeVar("M", Counter, Gauge, Histogram)


class Metrics:
    """The metrics of one process in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = self._counter(
            "calls", "Calls that ended, by how: ok or the error's type.", "app", "api", "outcome"
        )
        self.call_seconds = self._histogram(
            "call_seconds", "From first receipt to the confirmed reply.", "api"
        )
        self.calls_held = self._gauge("calls_held", "Calls in hand, not yet settled.")
        self.calls_parked = self._counter(
            "calls_parked",
            "Calls sent to a retry rung, by why: limit, retry, drain or repeat.",
            "why",
        )
        self.calls_moved = self._counter(
            "calls_moved", "Calls moved into an overflow queue, once each.", "bucket", "lane"
        )
        self.overflow_depth = self._gauge(
            "overflow_depth",
            "Calls in overflow queues, as every process sees it.",
            "bucket",
            "lane",
        )
        self.overflow_oldest = self._gauge(
            "overflow_oldest_seconds",
            "Age of what this process last took from an overflow queue that is not empty.",
            "bucket",
            "lane",
        )
        self.replies = self._counter(
            "replies",
            "Replies, by what became of them: sent, unroutable, refused or lost.",
            "outcome",
        )
        self.dead_letters = self._counter("dead_letters", "Dead letters, by reason.", "reason")
        self.dead_letter_rows = self._counter(
            "dead_letter_rows", "Dead letters written to Postgres."
        )
        self.feishu_requests = self._counter(
            "feishu_requests", "HTTP requests to Feishu, by answer.", "api", "status"
        )
        self.feishu_seconds = self._histogram(
            "feishu_seconds", "One HTTP request to Feishu.", "api"
        )
        self.feishu_codes = self._counter(
            "feishu_codes",
            "Non-zero codes of Feishu that the table knows; others as other.",
            "code",
        )
        self.limit_permits = self._counter(
            "limit_permits", "Permits granted, by who granted them: redis or local.", "mode"
        )
        self.limit_asks = self._counter("limit_asks", "Scripts run in Redis to ask for permits.")
        self.limit_wait_seconds = self._histogram(
            "limit_wait_seconds", "From being in line for a bucket to the permit.", "api", "lane"
        )
        self.limit_pauses = self._counter(
            "limit_pauses", "Pauses of a bucket because Feishu said it is full.", "bucket"
        )
        self.limit_rejections = self._counter(
            "limit_rejections",
            "Requests that Feishu refused because a bucket is full, by its code; codes that the "
            "table does not know, and answers without one, as other.",
            "bucket",
            "code",
        )
        self.limit_degraded = self._gauge(
            "limit_degraded", "1 while Redis is away and the local share is in use."
        )
        self.limit_paused = self._passing_gauge(
            "limit_paused",
            "Buckets of this name that are paused now, as this process knows.",
            "bucket",
        )
        self.limit_factor = self._passing_gauge(
            "limit_factor",
            "Smallest share of the limit that is used since Feishu refused more.",
            "bucket",
        )
        self.limit_margin_seconds = self._passing_gauge(
            "limit_margin_seconds",
            "Largest margin added to a window since Feishu refused more.",
            "bucket",
        )
        self.calls_waiting = self._passing_gauge(
            "calls_waiting", "Calls in hand that wait for a permit of a bucket.", "bucket", "lane"
        )
        self.limit_shadow = self._counter(
            "limit_shadow",
            "With LARK_SERVICE_LIMITS=observe, calls by what enforcing would have done (at_once, "
            "would_wait, would_pause) and by Feishu's answer (accepted, rejected).",
            "tier",
            "verdict",
        )
        self.circuits = self._gauge(
            "circuits",
            "Breakers of this process that hold calls back, by level (host, app, api) and state "
            "(open, half_open); which ones and why, the log says.",
            "level",
            "state",
        )
        self.circuits_opened = self._counter(
            "circuits_opened", "Breakers that opened, not counting failed probes.", "level"
        )
        self.retries = self._counter(
            "retries",
            "Repeats of failed attempts, by what made them fail; token: only its token; "
            "delayed: of calls without reply_to, once their pause in the broker is over.",
            "cause",
        )
        self.retries_suppressed = self._counter(
            "retries_suppressed", "Repeats not made, or not yet: the budget was empty.", "cause"
        )
        self.retry_budget = self._gauge(
            "retry_budget", "What is left of an app's 100; a retry takes 10 by default.", "app"
        )
        self.outcome_claims = self._counter(
            "outcome_claims",
            "Claims of K and N calls that have an id, by result: claimed, unwritten (no store "
            "answered), recorded, running, in_doubt or reused.",
            "result",
        )
        self.outcome_unwritten = self._gauge(
            "outcome_unwritten",
            "Ends of calls kept in memory until their store answers again; a crash loses them.",
        )
        self.outcome_oldest_start = self._gauge(
            "outcome_oldest_start_seconds",
            "Time since this process started the N call that it carries out longest; 0 without.",
        )
        self.token_refreshes = self._counter(
            "token_refreshes", "Token requests to Feishu, by outcome.", "app", "outcome"
        )
        self.token_invalidations = self._counter(
            "token_invalidations", "Tokens dropped because Feishu rejected them.", "app"
        )
        self.user_grants = self._gauge(
            "user_grants",
            "Grants of users in Postgres, by state; looked at every ten minutes.",
            "state",
        )
        self.token_expiry = self._gauge(
            "token_expiry_timestamp_seconds", "When the token in use ends, Unix time.", "app"
        )
        self.token_cache_hits = self._counter(
            "token_cache_hits",
            "Tokens found, by where: memory, redis or postgres; of memory as of half a second ago.",
            "layer",
        )
        self.token_cache_misses = self._counter(
            "token_cache_misses",
            "Tokens looked for and not found, by where: memory, redis or postgres.",
            "layer",
        )
        self.db_retries = self._counter(
            "db_retries",
            "Statements sent to Postgres again, by why: deadlock, serialization, lock_timeout or "
            "lost_connection.",
            "reason",
        )
        self.db_connections = self._gauge(
            "db_connections", "Connections to Postgres: in_use, and the most (max).", "state"
        )
        self.publishes = self._counter(
            "publishes",
            "Publishes, by outcome: confirmed, returned, nacked, unknown or unsent.",
            "outcome",
        )
        self.reconnects = self._counter(
            "amqp_reconnects", "Connections to RabbitMQ made again.", "connection"
        )
        self.apps = self._gauge(
            "apps", "Apps in Postgres: enabled, disabled, removed or unreadable.", "status"
        )
        self.app_secret_changed = self._passing_gauge(
            "app_secret_changed_timestamp_seconds",
            "When the secret of an app in Postgres was last changed, as Unix time.",
            "app",
        )
        self.registry_revision = self._gauge(
            "registry_revision", "The change of apps and pools that this process has last taken up."
        )
        self.dependency_up = self._gauge(
            "dependency_up", "1 while the dependency answers.", "dependency"
        )
        self.loop_lag = self._gauge(
            "event_loop_lag_seconds", "How late the event loop last woke a one-second sleeper."
        )
        self.build = self._gauge("build_info", "1, labelled with the version.", "version")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        metric = Counter(f"lark_service_{name}", text, labels, registry=self.registry)
        return _remembering(metric)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        metric = Gauge(f"lark_service_{name}", text, labels, registry=self.registry)
        return _remembering(metric)

    def _passing_gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """For what is true of few and for a while: its children are removed."""
        return Gauge(f"lark_service_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        metric = Histogram(
            f"lark_service_{name}", text, labels, registry=self.registry, buckets=_SECONDS
        )
        return _remembering(metric)


def table() -> str:
    """`docs/metrics.md`: every metric by the name under which it is scraped."""
    lines = ["# Metrics", "", "Made by `python -m gateway.metrics > docs/metrics.md`.", ""]
    lines += ["| metric | type | labels | what it says |", "| --- | --- | --- | --- |"]
    for metric in vars(Metrics()).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            [family] = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            lines.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join([*lines, ""])


def _remembering(metric: M) -> M:
    """Look up the child of some labels once only: it takes longer than to count."""
    metric.labels = cache(metric.labels)  # type: ignore[method-assign]
    return metric


if __name__ == "__main__":
    sys.stdout.write(table())
