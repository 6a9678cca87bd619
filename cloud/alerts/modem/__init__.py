"""An SMS modem on a serial line: one thread owns the line, and whoever sends or listens gives it work.

`line.py` is the server's only importer of pyserial. Upwards from it: `dialogue.py` (commands and answers, and what
comes unasked), `ready.py` (what a modem must be told before it serves), `desk.py` (the thread), `mail.py` (what came
in), `causes.py` (what its errors mean for a letter).
"""
