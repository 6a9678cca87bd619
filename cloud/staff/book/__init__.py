"""The registry as its screens read and write it, and the work that changes many of its rows at once."""
