"""The gates of rate limits and waiting, measured beside what a user would do instead."""
