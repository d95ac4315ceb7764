"""A cache of the network's deep features over the steps (DeepCache, Ma et al. 2023)."""
