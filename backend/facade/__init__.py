"""The facade: everything that a user can do, in one class and its parts."""
