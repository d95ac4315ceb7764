"""Easel's speed, as ratios measured in one run: `python -m benchmarks` (see `__main__`)."""
