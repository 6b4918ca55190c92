"""Tokens, apps and secrets at the size of a fleet: `python -m benchmarks.tokens`."""
