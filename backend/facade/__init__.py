"""The front door's rooms: everything a user can do, in one class and its parts."""
