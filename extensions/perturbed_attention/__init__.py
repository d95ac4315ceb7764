"""Perturbed-attention guidance (Ahn et al. 2024)."""
