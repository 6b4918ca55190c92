"""Tokens: who gives them out, where they are kept, and the pool that hands them to calls."""
