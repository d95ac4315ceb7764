"""The People tab: for admins."""
