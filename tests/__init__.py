"""Held to the laws of the house. A package, so that no library that brings a `tests` of its own is taken for it."""
