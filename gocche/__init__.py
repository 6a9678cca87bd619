"""The door: one command, and the parts that join both sides."""
