"""`lark-service secrets`: what is sealed at rest, and under which key."""
