"""What changes a network for single rows of a call: attached for the call, and gone after it. A kind is a file."""
