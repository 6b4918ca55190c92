"""How fast the gateway is, and what a call costs it, beside two loops that promise nothing."""
