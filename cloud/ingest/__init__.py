"""Decode, check, store, then acknowledge; what cannot be stored is quarantined with its reason."""
