"""A value leaves: which batch goes out when, and the one connection that carries it."""
