"""Plots: axes whose values change a request, and the cells that come of them. Knows no store and no page."""
