"""Warnings as other systems read them: messages of CAP 1.2 (OASIS), and the Atom feed that lists them. Pure.

`course` says what becomes of an incident, or of a day's danger, as messages; `message` writes one; `judge` says what is
wrong with one, be it ours; `feed` lists those that are still true. Nothing here opens a file or asks the time.
"""
