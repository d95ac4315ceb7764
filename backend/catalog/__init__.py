"""Which model files lie in the folders, told from their headers alone. Nothing is unpickled, nothing needs torch."""
