"""Figures beside peers and limits, as ratios of one run: `python -m bench`, or `make bench`."""
