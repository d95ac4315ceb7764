"""FreeU (Si et al. 2023): stronger backbone features, weaker skip connections."""
