"""The simulated Feishu for the tests in this folder."""

from tests.support.feishu import api_table, feishu, open_feishu

__all__ = ["api_table", "feishu", "open_feishu"]
