"""Byte formats that drivers share: pure functions from bytes to frames, without any meaning of the values."""
