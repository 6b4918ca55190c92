"""What an outage of each component costs while it lasts and after it."""
