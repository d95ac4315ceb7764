"""Linear layers of the network in 8-bit floating point."""
