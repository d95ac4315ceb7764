"""The Settings tab: habits, defaults and the look."""
