"""Warnings as other systems read them: messages of CAP 1.2 (OASIS), and the Atom feed that lists them.

`course` says what is to be told of an incident, or of a day's danger, and what follows what was told; `message` writes
one; `judge` says what is wrong with one, be it ours; `book` keeps what was given out; `feed` lists what is in force.
But for the book nothing here opens a file, and nothing asks the time.
"""
