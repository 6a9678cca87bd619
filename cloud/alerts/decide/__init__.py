"""Decide: what readings, the ledger and silence mean; incident, journal line and intent in one transaction."""
