"""Pictures: the text inside them, and the files that hold them."""
