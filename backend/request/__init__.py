"""WHAT: the frozen request, the table of its fields, the size that follows from it, and what a person prefers."""
