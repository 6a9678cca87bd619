"""The server: ingest, store, alerts, coverage, pages, panels."""
