"""What outlives a restart: jobs and pictures in SQLite. The one truth about the queue."""
