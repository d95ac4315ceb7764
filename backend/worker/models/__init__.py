"""Models in memory: reading files, running networks, keeping them within a budget. A family is a file."""
