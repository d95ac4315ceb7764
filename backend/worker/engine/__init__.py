"""Many pictures, one network call."""
