"""Adaptive projected guidance (Sadat et al. 2024)."""
