"""Self-attention guidance (Hong et al. 2022)."""
