"""Figures of the store as people ask for them: a question, its table, and the pages and files made of it."""
