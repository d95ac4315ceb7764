"""A package of its own: torch-fidelity brings one of the same name, which would otherwise stand in its place."""
