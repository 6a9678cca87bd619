"""The first screen of a day: how the garden is, and what waits for whoever looks."""
