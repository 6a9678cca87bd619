"""A value is born: when to ask, over which line, and what came back."""
