"""Duty: who watches sees what is suspected where, says "I have it", and reads afterwards what was done and when."""
