"""CFG-Zero* (Fan et al. 2025)."""
