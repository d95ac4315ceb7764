"""Model files on the worker's side: reading them, running them, keeping them in memory. A family is a file."""
