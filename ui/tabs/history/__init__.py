"""The History tab: all pictures."""
