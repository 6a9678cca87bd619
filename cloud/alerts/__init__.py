"""Alerts: readings and silence become incidents in an append-only journal, and people are told once.

Danger (weather), detection (smoke at a node) and hotspot (satellite) are three different things; what this package
raises is always a suspicion. Only a person says more than that.
"""
