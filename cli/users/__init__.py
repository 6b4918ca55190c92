"""`lark-service user`: what users let apps do in their name."""
