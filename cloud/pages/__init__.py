"""The public pages: what a visitor under a tree sees, and what a neighbour of the garden may know."""
