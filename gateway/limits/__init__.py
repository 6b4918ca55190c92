"""Feishu's rate limits, kept by all processes together."""
