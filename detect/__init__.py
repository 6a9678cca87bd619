"""Smoke or heat at a node, by rules that can be said in one line each: pure, the same at the edge and in the cloud.

A sample goes in, a claim comes out: none, watch, suspected, probable. It never says confirmed; only a person does.
What each rule is and what it was measured to find stands in docs/detection.md.
"""
