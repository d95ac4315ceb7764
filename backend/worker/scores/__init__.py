"""How good pictures are, in numbers: what a plot's cells are compared by."""
