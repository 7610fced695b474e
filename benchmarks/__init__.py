"""Ratios against hand-written equivalents and peers, in one run: `python -m benchmarks`."""
