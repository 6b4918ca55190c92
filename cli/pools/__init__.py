"""`lark-service pool`: several apps under one alias."""
