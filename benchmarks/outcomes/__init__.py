"""What it costs to keep how calls ended: `python -m benchmarks.outcomes`."""
