"""What can only be measured on a graphics card: `make gpu`, one command for a machine without a package registry."""
