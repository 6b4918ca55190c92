from pathlib import Path

from gateway.metrics import Metrics, table

ROOT = Path(__file__).resolve().parents[3]


def test_the_documented_metrics_are_those_of_the_code() -> None:
    """To mend it: `python -m gateway.metrics > docs/metrics.md`."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == table()


def test_the_table_has_every_metric_that_is_scraped() -> None:
    scraped = [family.name for family in Metrics().registry.collect()]
    rows = [line for line in table().splitlines() if line.startswith("| `lark_service_")]
    assert len(rows) == len(scraped)
    assert all(any(f"`{name}" in row for row in rows) for name in scraped)


def test_a_gauge_of_a_bucket_goes_when_it_is_removed_and_comes_back_when_it_is_set() -> None:
    metrics = Metrics()
    for value in (0.5, 0.7):
        metrics.limit_factor.labels("chat").set(value)
        got = metrics.registry.get_sample_value("lark_service_limit_factor", {"bucket": "chat"})
        assert got == value
        metrics.limit_factor.remove("chat")
        got = metrics.registry.get_sample_value("lark_service_limit_factor", {"bucket": "chat"})
        assert got is None
