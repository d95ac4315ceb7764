"""Pieces of a tab: each file places one piece and wires what it does alone."""
